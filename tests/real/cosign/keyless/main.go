// Keyless signatures without the world's authorities: has some of its own, and makes with
// them signatures as cosign makes them by certificates, good and bad; or lets stock cosign
// sign by them.
//
//	keyless cases FOLDER REFERENCE MANIFEST TIME
//	    a folder for each form and fault, for the manifest in a file, signed at a time
//	    (RFC 3339)
//	keyless serve FOLDER
//	    answers as Fulcio and Rekor at the address in FOLDER/url; what cosign needs to
//	    sign and to verify lies beside it
package main

import (
	"fmt"
	"os"
	"time"
)

func main() {
	switch arguments := os.Args[1:]; {
	case len(arguments) == 5 && arguments[0] == "cases":
		manifest := must(os.ReadFile(arguments[3]))
		writeCases(arguments[1], arguments[2], manifest, must(time.Parse(time.RFC3339, arguments[4])))
	case len(arguments) == 2 && arguments[0] == "serve":
		serve(arguments[1])
	default:
		fmt.Fprintln(os.Stderr, "usage: keyless cases FOLDER REFERENCE MANIFEST TIME | keyless serve FOLDER")
		os.Exit(2)
	}
}
