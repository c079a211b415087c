#!/usr/bin/env python3
"""A small client of the blubbel protocol, to read from top to bottom next to docs/protocol.md.

Two copies of this script find each other through a relay, and one sends the other a file:

    blubbel.py receive --relay 127.0.0.1:8000 --key-out bob.der > out.txt
    blubbel.py send    --relay 127.0.0.1:8000 --peer bob.der FILE

Start the receiver first: it writes bob.der once it is logged in, which is the sign for the sender.
Either gives up when nothing comes for 30 s. Python 3.9 or newer is enough. What this is not:

  * No encryption. Bodies are opaque to the relay, and here they are plain bytes. A real client has
    its half of a Diffie-Hellman exchange, signed and sealed, in StartSession and AcceptSession, and
    ciphertext in Message.
  * No identity. The key is made for one run and thrown away: a random odd number as its modulus
    gives it the shape of an RSA key, but nobody knows a private half, and nothing is proven. A
    relay that asks for proof of possession will refuse it.
  * No choice of friends. The receiver accepts whoever asks first.
"""
import argparse, hashlib, os, secrets, select, socket, struct, sys, time

LOGIN, START, ACCEPT, MESSAGE, ERROR = 1, 2, 3, 4, 5
TYPES = {LOGIN: "Login", START: "StartSession", ACCEPT: "AcceptSession", MESSAGE: "Message"}
CODES = dict(enumerate("""MALFORMED TOO_LARGE UNSUPPORTED NOT_LOGGED_IN ALREADY_LOGGED_IN BAD_KEY
    KEY_IN_USE PROOF_REQUIRED PROOF_INVALID UNAVAILABLE NO_REQUEST NO_SESSION OFFLINE BUSY
    RATE_LIMITED LIMIT TIMEOUT REPLACED SHUTTING_DOWN INTERNAL QUOTA EXPIRED
    NOT_ALLOWED""".split(), 1))
UNAVAILABLE = 10
MAX_SENT = 65536      # the longest payload that the relay reads, the key in it included
MAX_RECEIVED = 66048  # the longest that it sends: a longer key may have been swapped in
TIMEOUT = 30          # seconds that we wait for the network
ASK_FOR = 10          # seconds for which we ask again for a peer that is not there

# This example's own convention: the first byte of a Message's body says what the rest is.
# A summary is the text "<bytes> <SHA-256 in hex>".
DATA = b"d"       # a piece of the file
END = b"e"        # the file is complete; summary of what was sent
CONFIRMED = b"c"  # the receiver's answer to END; summary of what arrived


class Failure(Exception):
    """Ends the script with one line on stderr and exit code 1."""


class Refused(Failure):
    """The relay sent an Error."""

    def __init__(self, payload):
        if len(payload) < 11:
            raise Failure("the relay sent an Error that is too short")
        self.code, kind, number = struct.unpack(">HBQ", payload[:11])
        text = payload[11:].decode("utf-8", "replace")
        text = "".join(c if c.isprintable() else "?" for c in text)  # it goes to a terminal
        name, request = CODES.get(self.code, "(unknown)"), TYPES.get(kind, f"type 0x{kind:02x}")
        frame = f"{request}, frame {number}" if number else "no frame"
        super().__init__(f"Error {self.code} {name} to {frame}: {text}")


def throw_away_key():
    """SubjectPublicKeyInfo: a random odd modulus of exactly 2048 bits, exponent 65537."""
    modulus = secrets.randbits(2048) | 1 << 2047 | 1
    return (bytes.fromhex("30820122"                        # SEQUENCE of 290 bytes
                          "300d06092a864886f70d0101010500"  # algorithm: rsaEncryption, NULL
                          "0382010f00"                      # BIT STRING, no unused bits
                          "3082010a"                        # SEQUENCE of
                          "0282010100")                     # INTEGER, positive: the modulus
            + modulus.to_bytes(256, "big") + bytes.fromhex("0203010001"))  # INTEGER 65537


def split(payload, source="a payload"):
    """The key in front, and the body behind it. Every key that can be logged in has 294 to 550
    bytes, so of the three forms of a DER length only 0x82 occurs in what a client receives. A first
    byte of 0x80 or higher is a raw key of 128 bytes, where the relay takes those."""
    raw = payload[:1] >= b"\x80"
    end = 128 if raw else 4 + int.from_bytes(payload[2:4], "big")
    if len(payload) < end or not (raw or payload[:2] == b"\x30\x82"):
        raise Failure(f"there is no key in DER at the start of {source}")
    return payload[:end], payload[end:]


class Relay:
    """A connection to the relay, logged in with a key of its own."""

    def __init__(self, host, port):
        try:
            self.sock = socket.create_connection((host, port), TIMEOUT)
        except (OSError, UnicodeError) as error:
            raise Failure(f"cannot reach the relay at {host} port {port}: {error}") from None
        self.key = throw_away_key()
        self.send(LOGIN, self.key)
        while self.receive()[0] != LOGIN:
            pass

    def send(self, kind, payload):
        try:
            self.sock.sendall(struct.pack(">BI", kind, len(payload)) + payload)
        except socket.timeout:
            raise Failure(f"the relay did not take a frame within {TIMEOUT} s") from None
        except OSError:
            while True:         # The relay has closed. If it said why, that may still be there to
                self.receive()  # be read; either way this ends with an exception.

    def receive(self):
        """Type and payload of the next frame. An Error is raised instead."""
        kind, size = struct.unpack(">BI", self.read(5))
        if size > MAX_RECEIVED:
            raise Failure(f"the relay sent a payload of {size} bytes, which is too long")
        payload = self.read(size)
        if kind == ERROR:
            raise Refused(payload)
        return kind, payload

    def read(self, size):
        """Exactly size bytes; one recv may return fewer."""
        data = bytearray()
        while len(data) < size:
            try:
                piece = self.sock.recv(size - len(data))
            except socket.timeout:
                raise Failure(f"nothing came from the relay for {TIMEOUT} s") from None
            except OSError as error:
                raise Failure(f"the connection to the relay broke: {error}") from None
            if not piece:
                raise Failure("the relay closed the connection")
            data += piece
        return bytes(data)

    def hang_up(self):
        """Shut the writing side. What was sent is still handled, Errors come before the end."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
            while True:
                self.receive()
        except Refused:
            raise
        except (Failure, OSError):
            pass  # the end

    def expect(self, wanted, peer=None):
        """Wait for a frame of this type, from this peer: its sender and body. Skips others."""
        while True:
            kind, payload = self.receive()
            if kind == wanted:
                sender, body = split(payload)
                if peer in (None, sender):
                    return sender, body


def receive_file(relay_address, key_out):
    relay = Relay(*relay_address)
    with open(key_out + ".tmp", "wb") as file:
        file.write(relay.key)
    os.replace(key_out + ".tmp", key_out)  # whoever waits for the file never sees half of it

    peer, sealed = relay.expect(START)
    relay.send(ACCEPT, peer + sealed)  # sent back, it says which StartSession we answer

    size, sha256 = 0, hashlib.sha256()
    with open(sys.stdout.fileno(), "wb", closefd=False) as out:
        while True:
            _, body = relay.expect(MESSAGE, peer)
            if body[:1] != DATA:
                break
            out.write(body[1:])
            size += len(body) - 1
            sha256.update(body[1:])
    summary = f"{size} {sha256.hexdigest()}".encode()
    if body[:1] == END:
        relay.send(MESSAGE, peer + CONFIRMED + summary)
        relay.hang_up()
    if body != END + summary:
        raise Failure("what arrived is not what was sent")


def send_file(relay_address, peer_file, path):
    with open(peer_file, "rb") as file:
        peer = file.read()
    if split(peer, peer_file)[1]:
        raise Failure(f"there is more than a key in {peer_file}")
    with open(path, "rb") as file:
        relay = Relay(*relay_address)
        start_session(relay, peer)
        # While our frames have no outcome yet, the relay may stop reading, and send() waits. That
        # cannot become a deadlock: until END all that comes to us is at most one small Error for
        # each frame, and what has come is looked at before each further frame.
        size, sha256, messages = 0, hashlib.sha256(), 1  # the one is END
        while data := file.read(MAX_SENT - len(peer) - len(DATA)):
            while select.select([relay.sock], [], [], 0)[0]:
                relay.receive()
            relay.send(MESSAGE, peer + DATA + data)
            size, messages = size + len(data), messages + 1
            sha256.update(data)
    summary = f"{size} {sha256.hexdigest()}".encode()
    relay.send(MESSAGE, peer + END + summary)
    # The relay does not answer what it delivered, so the peer has to say that all of it arrived.
    if relay.expect(MESSAGE, peer)[1] != CONFIRMED + summary:
        raise Failure("the receiver did not get what was sent")
    print(f"sent {size} bytes in {messages} messages, confirmed", file=sys.stderr)


def start_session(relay, peer):
    """Ask until the peer is there, then wait until it accepts."""
    sealed = secrets.token_bytes(16)  # a real client's half of the exchange stands here
    deadline = time.monotonic() + ASK_FOR
    while True:
        relay.send(START, peer + sealed)
        try:
            if relay.expect(ACCEPT, peer)[1] != sealed:
                raise Failure("the peer accepted another request than ours")
            return
        except Refused as error:
            if error.code != UNAVAILABLE:
                raise
            if time.monotonic() > deadline:
                raise Failure(f"the peer was not there for {ASK_FOR} s; {error}") from None
        time.sleep(1)  # a relay may limit how often one asks


def address(text):
    host, _, port = text.rpartition(":")
    if not host or not 0 < int(port) < 65536:
        raise ValueError
    return host.strip("[]"), int(port)


def main():
    parser = argparse.ArgumentParser(description="Send a file through a relay, unencrypted.")
    roles = parser.add_subparsers(dest="role", required=True)
    receiver = roles.add_parser("receive", help="accept a session, write the file to stdout")
    receiver.add_argument("--key-out", required=True, metavar="DER", help="written once logged in")
    sender = roles.add_parser("send", help="start a session, send a file")
    sender.add_argument("--peer", required=True, metavar="DER", help="the receiver's key")
    sender.add_argument("file", metavar="FILE")
    for role in receiver, sender:
        role.add_argument("--relay", type=address, default="127.0.0.1:8000", metavar="HOST:PORT")
    args = parser.parse_args()
    try:
        if args.role == "receive":
            receive_file(args.relay, args.key_out)
        else:
            send_file(args.relay, args.peer, args.file)
    except (Failure, OSError) as error:
        sys.exit(f"blubbel: {error}")
    except KeyboardInterrupt:
        sys.exit("blubbel: interrupted")


if __name__ == "__main__":
    main()
