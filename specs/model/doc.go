// Package model lets random users and random faults loose on a relay, and checks the promises against what was said and
// heard. It has nothing but tests:
//
//	go test ./specs/model                    many short worlds
//	make chaos SECONDS=600 SEED=0            worlds for so long, with the race detector; 0 draws a seed and prints it
//	make mutants                             a relay with a fault built in, one fault after the other: each must be found
//
// A world is a relay, some users, and what each of them is going to do (script_test.go). Some know the seed's types only, some say
// Hello, some prove that their keys are their own, on several connections at once if they like (login_test.go). Everything they say
// and hear is written down (history_test.go), while actors, readers and writers panic (bomb_test.go), and the store of the pins fails
// (pins_test.go). Then all is quiet, everybody must get through to everybody (end_test.go), and the history is judged by rules that
// know nothing of the relay but its protocol (check_test.go, and, for those who say Hello and prove, proven_test.go
// and ended_test.go).
package model
