package main

// watchSize does nothing: Windows does not tell when a window's size has changed.
func watchSize(func()) (stop func()) { return func() {} }
