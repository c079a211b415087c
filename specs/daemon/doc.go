// Package daemon tests the relay as its operator has it: a process, built just now, that is sent signals and is looked at
// from outside. It has nothing but tests:
//
//	go test ./specs/daemon      some stops under load, a short soak, and what else ends it
//	make stops STOPS=50         so many stops under load; SEED=7 for others
//	make soak CYCLES=100000     clients come and go (visit_test.go): is everything let go of?
//
// In each stop under load (stop_test.go) everything the clients say and hear is written down (user_test.go), and then
// compared with the relay's last words (check_test.go).
package daemon
