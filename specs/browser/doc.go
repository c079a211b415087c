// Package browser has the example client of docs/examples/browser run in a real browser, a headless Chromium, and talk
// through the daemon: with another browser, and with package client. And the page of package admin, which shows a relay to whoever runs it.
//
//	make browser
//
// It is a module of its own, so that nobody who uses the relay ever sees what drives the browser. It has nothing but tests.
package browser
