package main

import "io/fs"

// process is the server's, if --pid says which it is. Of a nil one all figures are 0, and are not shown.
type process struct{ files fs.FS }
