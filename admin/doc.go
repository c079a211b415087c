// Package admin shows a relay to whoever runs it: as metrics for Prometheus, as JSON, and as a page. It knows nobody: there is nothing in
// it about single users but names that mean nothing once the relay was stopped, and clients' addresses are not in it at all.
//
//	GET  /                a page that shows what follows, live
//	GET  /healthz         200 as long as the process answers
//	GET  /readyz          200 while the relay takes connections, else 503
//	GET  /metrics         for Prometheus
//	GET  /api/status      [Status]
//	GET  /api/tree        [supervisor.Node]; ?children=N: at most so many of each actor's, those with most to do first
//	GET  /api/recent      [Recent]
//	POST /api/drain       stops the relay in good order
//	POST /api/unpin       forgets that a key has proved: fingerprint=64 hexadecimal digits
//	GET  /debug/pprof/    profiles, if asked for
//
// What changes something needs a token, unless it comes by a Unix socket. Errors are {"error": "what to do"}.
package admin
