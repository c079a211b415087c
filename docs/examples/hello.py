#!/usr/bin/env python3
"""The rest of the way in: Hello, Ping, and a proof that a key is ours. To read next to
docs/protocol.md, after blubbel.py, which needs none of this.

    hello.py --relay 127.0.0.1:8000                      who is the relay?
    hello.py --relay HOST:PORT --tls [--tls-ca FILE]     the same over TLS
    hello.py --relay HOST:PORT --prove alice.pem         log in with a proof
    hello.py --relay HOST:PORT --prove ... --stay 180    and answer its Pings for three minutes

alice.pem is an RSA key in PKCS #8, without a passphrase. One like that comes from

    openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out alice.pem

Python 3.9 or newer is enough, with its standard library alone. What that cannot do:

  * Verify the relay's proof (element 7 of Welcome), for want of Ed25519. So the relay's id is
    printed, and believed. A real client that was given the id in the relay's address checks the
    proof before it says anything else.
  * Prove a key over TLS, for want of the exporter that ties the proof to the connection.
  * Sign in constant time. pow() takes longer for some keys and texts than for others, and whoever
    can measure that often enough learns the key. A real client leaves this to its library.
"""
import argparse, base64, hashlib, secrets, socket, ssl, struct, sys, time

LOGIN, ERROR, HELLO, PROVE, PING, PONG = 0x01, 0x05, 0x10, 0x11, 0x14, 0x15
FEATURES, NONCE, RELAY_ID, MAX_PAYLOAD, PING_INTERVAL, SOFTWARE, SIGNATURE = range(1, 8)
MAX_RECEIVED = 66048  # the longest payload that the relay sends
TIMEOUT = 30          # seconds that we wait for an answer


class Failure(Exception):
    """Ends the script with one line on stderr and exit code 1."""


class Quiet(Failure):
    """Nothing came in time."""


def printable(text):
    """What somebody else wrote, fit for a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text.decode("utf-8", "replace"))


class Relay:
    """A connection to the relay."""

    def __init__(self, host, port, tls=None):
        self.pings = 0  # that we have answered
        try:
            self.sock = socket.create_connection((host, port), TIMEOUT)
            if tls:
                self.sock = tls.wrap_socket(self.sock, server_hostname=host)
        except (OSError, UnicodeError) as error:
            raise Failure(f"cannot reach the relay at {host} port {port}: {error}") from None

    def send(self, kind, payload):
        try:
            self.sock.sendall(struct.pack(">BI", kind, len(payload)) + payload)
        except OSError as error:
            raise Failure(f"the connection to the relay broke: {error}") from None

    def receive(self, seconds=TIMEOUT):
        """Type and payload of the next frame. Pings are answered, an Error is raised."""
        deadline = time.monotonic() + seconds
        while True:
            kind, size = struct.unpack(">BI", self.read(5, deadline))
            if size > MAX_RECEIVED:
                raise Failure(f"the relay sent a payload of {size} bytes, which is too long")
            payload = self.read(size, deadline)
            if kind == PING:
                self.send(PONG, payload)
                self.pings += 1
            elif kind == ERROR and size >= 11:
                code, request, number = struct.unpack(">HBQ", payload[:11])
                raise Failure(f"Error {code} to a frame of type {request:#04x}, number {number}: "
                              + printable(payload[11:]))
            else:
                return kind, payload

    def read(self, size, deadline):
        """Exactly size bytes; one recv may return fewer."""
        data = bytearray()
        while len(data) < size:
            left = deadline - time.monotonic()
            try:
                self.sock.settimeout(max(left, 0.001))
                piece = self.sock.recv(size - len(data))
            except socket.timeout:
                raise Quiet("the relay did not answer in time") from None
            except OSError as error:
                raise Failure(f"the connection to the relay broke: {error}") from None
            if not piece:
                raise Failure("the relay closed the connection")
            data += piece
        return bytes(data)

    def expect(self, wanted):
        """The payload of the next frame of this type. Skips others."""
        while True:
            kind, payload = self.receive()
            if kind == wanted:
                return payload


# Hello and Welcome.

def element(kind, value):
    return struct.pack(">BH", kind, len(value)) + value


def elements(payload):
    """The values of a Welcome's elements, by their ids."""
    values = {}
    while payload:
        if len(payload) < 3 or len(payload) < 3 + int.from_bytes(payload[1:3], "big"):
            raise Failure("an element of the relay's Welcome is cut off")
        end = 3 + int.from_bytes(payload[1:3], "big")
        values[payload[0]] = payload[3:end]
        payload = payload[end:]
    return values


def say_hello(relay):
    """Both payloads as they went over the wire, because proofs are about their very bytes."""
    hello = element(NONCE, secrets.token_bytes(32)) + element(SOFTWARE, b"hello.py")
    relay.send(HELLO, hello)
    welcome = relay.expect(HELLO)
    said = elements(welcome)
    # In base64url without padding, as it stands in addresses: blubbel://ID@host:port
    relay_id = base64.urlsafe_b64encode(said.get(RELAY_ID, b"")).rstrip(b"=").decode()
    print(f"relay id (not verified): {relay_id}")
    print(f"software: {printable(said.get(SOFTWARE, b''))}")
    print(f"longest payload: {int.from_bytes(said.get(MAX_PAYLOAD, b''), 'big')} bytes")
    print(f"pings after: {int.from_bytes(said.get(PING_INTERVAL, b''), 'big')} s")
    return hello, welcome


def ping(relay):
    """Ask whether the relay is there."""
    question = secrets.token_bytes(8)
    relay.send(PING, question)
    if relay.expect(PONG) != question:
        raise Failure("the relay answered another Ping than ours")


# The proof.

def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def prove(relay, key, hello, welcome):
    """Log in with a proof. What is signed is about this conversation alone: the relay's nonce, which
    is in its Welcome, makes it useless in any other."""
    # Without TLS the proof is bound to no channel. Over TLS the type would be 1, and the binding
    # the 32 bytes that TLS exports for the label "EXPORTER-Channel-Binding".
    binding_type, binding = b"\0", bytes(32)
    text = (b" " * 64 + b"blubbel login v1\0" + sha256(hello) + sha256(welcome)
            + binding_type + binding + sha256(key.public))
    relay.send(PROVE, key.public + key.sign(text))
    relay.expect(LOGIN)
    print(f"logged in, proven: {sha256(key.public).hex()}")


INTEGER, BIT_STRING, OCTET_STRING, SEQUENCE = 0x02, 0x03, 0x04, 0x30
RSA = bytes.fromhex("06092a864886f70d0101010500")  # 1.2.840.113549.1.1.1 rsaEncryption, NULL


def from_der(data, tag):
    """The content of the DER element in front, and what is behind it."""
    start, size = 2, data[1]
    if size >= 0x80:  # the length of the length
        start += size - 0x80
        size = int.from_bytes(data[2:start], "big")
    if data[0] != tag or len(data) < start + size:
        raise ValueError
    return data[start:start + size], data[start + size:]


def to_der(tag, *parts):
    content = b"".join(parts)
    size = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    if len(content) >= 0x80:
        size = bytes([0x80 + len(size)]) + size
    return bytes([tag]) + size + content


def integer(number):
    return to_der(INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big"))  # not negative


class PrivateKey:
    """An RSA key of a file."""

    def __init__(self, path):
        with open(path) as file:
            text = file.read()
        try:
            text = text.split("-----BEGIN PRIVATE KEY-----")[1].split("-----END")[0]
            info, _ = from_der(base64.b64decode(text), SEQUENCE)  # PKCS #8: RFC 5208, 5
            _, info = from_der(info, INTEGER)                     # version
            algorithm, info = from_der(info, SEQUENCE)
            numbers, _ = from_der(from_der(info, OCTET_STRING)[0], SEQUENCE)  # RFC 8017, A.1.2
            _, numbers = from_der(numbers, INTEGER)               # version
            n, numbers = from_der(numbers, INTEGER)
            e, numbers = from_der(numbers, INTEGER)
            d, numbers = from_der(numbers, INTEGER)
            if algorithm != RSA:
                raise ValueError
        except (IndexError, ValueError):
            raise Failure(f"there is no RSA key in PKCS #8 (BEGIN PRIVATE KEY) in {path}") from None
        self.n, self.e, self.d = (int.from_bytes(number, "big") for number in (n, e, d))
        # What the user is to everybody else: SubjectPublicKeyInfo.
        key = to_der(SEQUENCE, integer(self.n), integer(self.e))
        self.public = to_der(SEQUENCE, to_der(SEQUENCE, RSA), to_der(BIT_STRING, b"\0", key))

    def sign(self, text):
        """RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a salt of 32 bytes: RFC 8017, 8.1.1."""
        bits = self.n.bit_length() - 1
        size = (bits + 7) // 8
        salt = secrets.token_bytes(32)
        digest = sha256(bytes(8), sha256(text), salt)
        block = bytes(size - 32 - 32 - 2) + b"\1" + salt
        blocks = -(-len(block) // 32)
        mask = b"".join(sha256(digest, struct.pack(">I", i)) for i in range(blocks))[:len(block)]
        masked = int.from_bytes(block, "big") ^ int.from_bytes(mask, "big")
        masked &= (1 << 8 * len(block) - (8 * size - bits)) - 1  # so that it is less than n
        encoded = int.from_bytes(masked.to_bytes(len(block), "big") + digest + b"\xbc", "big")
        signature = pow(encoded, self.d, self.n)
        if pow(signature, self.e, self.n) != encoded:
            raise Failure("the numbers in the key's file do not belong together")
        return signature.to_bytes((self.n.bit_length() + 7) // 8, "big")


def stay(relay, seconds):
    """Answer the relay's Pings. It closes the connection of who does not."""
    deadline = time.monotonic() + seconds
    try:
        while True:
            relay.receive(deadline - time.monotonic())
    except Quiet:
        print(f"answered {relay.pings} Pings")


def address(text):
    host, _, port = text.rpartition(":")
    if not host or not 0 < int(port) < 65536:
        raise ValueError
    return host.strip("[]"), int(port)


def run(args):
    if args.prove and (args.tls or args.tls_ca):
        raise Failure("a proof over TLS needs the exporter of TLS (RFC 9266), which Python's ssl "
                      "module does not have; prove without --tls")
    key = PrivateKey(args.prove) if args.prove else None
    tls = None
    if args.tls or args.tls_ca:
        tls = ssl.create_default_context(cafile=args.tls_ca)
        tls.minimum_version = ssl.TLSVersion.TLSv1_3
    relay = Relay(*args.relay, tls)
    hello, welcome = say_hello(relay)
    if key:
        prove(relay, key, hello, welcome)
    if args.stay:
        stay(relay, args.stay)
    ping(relay)


def main():
    parser = argparse.ArgumentParser(description="Say Hello to a relay, and prove a key.")
    parser.add_argument("--relay", type=address, default="127.0.0.1:8000", metavar="HOST:PORT")
    parser.add_argument("--prove", metavar="PEM", help="log in with a proof of this private key")
    parser.add_argument("--stay", type=float, metavar="SECONDS", help="and answer Pings for so long")
    parser.add_argument("--tls", action="store_true", help="connect over TLS")
    parser.add_argument("--tls-ca", metavar="FILE", help="trust the certificates in FILE only")
    args = parser.parse_args()
    if args.stay and not args.prove:
        parser.error("--stay needs --prove: the relay closes who is not logged in after 10 s")
    try:
        run(args)
    except (Failure, OSError) as error:
        sys.exit(f"hello: {error}")
    except KeyboardInterrupt:
        sys.exit("hello: interrupted")


if __name__ == "__main__":
    main()
