// Package acme has the daemon get its certificates from a real ACME server, Let's Encrypt's own for tests, in this process:
//
//	make acme
//
// It is a module of its own, so that nobody who uses the relay ever sees what that server needs. It has nothing but tests.
package acme
