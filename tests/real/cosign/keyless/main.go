// Keyless signatures without the world's authorities: makes some of its own, and with
// them signatures as cosign makes them by certificates, good and bad.
//
//	keyless cases FOLDER REFERENCE MANIFEST TIME
//	    a folder for each form and fault, for the manifest in a file, signed at a time
//	    (RFC 3339)
package main

import (
	"fmt"
	"os"
	"time"
)

func main() {
	if len(os.Args) != 6 || os.Args[1] != "cases" {
		fmt.Fprintln(os.Stderr, "usage: keyless cases FOLDER REFERENCE MANIFEST TIME")
		os.Exit(2)
	}
	manifest := must(os.ReadFile(os.Args[4]))
	writeCases(os.Args[2], os.Args[3], manifest, must(time.Parse(time.RFC3339, os.Args[5])))
}
