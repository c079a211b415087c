package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// holderOf returns which process listens at an address of TCP, if we may know.
func holderOf(hostPort string) holder {
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile("/proc/net/" + table) //nolint:gosec // of the kernel
		if err != nil {
			continue
		}
		for _, inode := range listenersAt(string(text), hostPort) {
			if pid := processOf("socket:[" + inode + "]"); pid != 0 {
				return holder{pid, nameOf(pid)}
			}
		}
	}
	return holder{}
}

// listenersAt returns the inodes of the sockets in such a table that listen at an address, or at all addresses.
func listenersAt(table, hostPort string) (inodes []string) {
	const local, state, inode, listens = 1, 3, 9, "0A"
	host, port, _ := net.SplitHostPort(hostPort)
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) <= inode || fields[state] != listens {
			continue
		}
		if at, ok := parseSocket(fields[local]); ok && strconv.Itoa(int(at.Port())) == port && meets(at.Addr(), host) {
			inodes = append(inodes, fields[inode])
		}
	}
	return inodes
}

// parseSocket reads an address such as 0100007F:1F40: each four bytes are a number as this machine has it in memory.
func parseSocket(text string) (at netip.AddrPort, ok bool) {
	address, port, _ := strings.Cut(text, ":")
	b, err := hex.DecodeString(address)
	n, errPort := strconv.ParseUint(port, 16, 16)
	if err != nil || errPort != nil || len(b)%4 != 0 {
		return at, false
	}
	for word := range slices.Chunk(b, 4) {
		binary.NativeEndian.PutUint32(word, binary.BigEndian.Uint32(word))
	}
	ip, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(ip.Unmap(), uint16(n)), ok
}

// meets reports whether who listens at an address keeps others from listening on a host.
func meets(at netip.Addr, host string) bool {
	ip, err := netip.ParseAddr(host)
	return err != nil || ip.IsUnspecified() || at.IsUnspecified() || at == ip.Unmap()
}

// processOf returns which process has a socket open, or 0.
func processOf(socket string) int {
	files, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, file := range files {
		if to, err := os.Readlink(file); err == nil && to == socket {
			var pid int
			_, _ = fmt.Sscanf(file, "/proc/%d/", &pid)
			return pid
		}
	}
	return 0
}
