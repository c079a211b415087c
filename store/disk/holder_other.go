//go:build !unix

package disk

import "errors"

// Holder would return which other process has the store in a folder open. On this system one cannot ask.
func Holder(string) (pid int, held bool, err error) { return 0, false, errors.ErrUnsupported }
