package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// holderOf returns which process listens there, if we may know.
func holderOf(a address) holder {
	var inodes []string
	if a.scheme == "unix" {
		inodes = listenersOn(tableOf("unix"), a.path)
	} else {
		inodes = append(listenersAt(tableOf("tcp"), a), listenersAt(tableOf("tcp6"), a)...)
	}
	for _, inode := range inodes {
		if pid := processOf("socket:[" + inode + "]"); pid != 0 {
			return holder{pid, nameOf(pid)}
		}
	}
	return holder{}
}

// tableOf is the kernel's table of sockets of a kind; empty if there is none.
func tableOf(kind string) string {
	text, _ := os.ReadFile("/proc/net/" + kind) //nolint:gosec // of the kernel
	return string(text)
}

// listenersOn returns the inodes of the sockets in a table of Unix sockets that listen on a path.
func listenersOn(table, path string) (inodes []string) {
	const flags, inode, listens = 3, 6, "00010000"
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if strings.HasSuffix(line, " "+path+"\n") && len(fields) > inode && fields[flags] == listens {
			inodes = append(inodes, fields[inode])
		}
	}
	return inodes
}

// listenersAt returns the inodes of the sockets in a table of TCP that listen at an address, or at all addresses.
func listenersAt(table string, a address) (inodes []string) {
	const local, state, inode, listens = 1, 3, 9, "0A"
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) <= inode || fields[state] != listens {
			continue
		}
		if at, ok := parseSocket(fields[local]); ok && strconv.Itoa(int(at.Port())) == a.port && meets(at.Addr(), a.host) {
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
