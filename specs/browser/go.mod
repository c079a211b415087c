module github.com/mdeiml/blubbel-server/specs/browser

go 1.26.0

require (
	github.com/chromedp/cdproto v0.159.0
	github.com/chromedp/chromedp v0.23.0
	github.com/coder/websocket v1.8.15
	github.com/mdeiml/blubbel-server v0.0.0
)

require (
	filippo.io/bigmod v0.1.0 // indirect
	github.com/go-json-experiment/json v0.0.0-20260214004413-d219187c3433 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/mdeiml/blubbel-server => ../..
