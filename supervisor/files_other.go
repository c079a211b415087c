//go:build !unix

package supervisor

// fileLimit would return how many files this process may open. Here there is no such limit.
func fileLimit() (n uint64, ok bool) { return 0, false }
