package main

import (
	"crypto/x509"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	subject = "https://github.com/acme/shop/.github/workflows/release.yaml@refs/tags/v1.0.0"
	issuer  = "https://token.actions.githubusercontent.com"
)

// A way in which a signature is bad, and the reason for which ours refuses it.
type fault struct {
	name, reason string
	turn         func(*order)
	// The forms that are made with it; the first two where there are none.
	forms []string
}

func faults(strangers *authorities) []fault {
	proven := []string{"statement", "rekor2"}
	stamped := []string{"rekor2"}
	return []fault{
		{"good", "", func(o *order) {}, forms},
		{"timestamped", "", func(o *order) { o.stamped = true }, nil},
		{"other-subject", "ForeignIdentity", func(o *order) { o.subject = strings.Replace(subject, "acme", "evil", 1) }, nil},
		{"mail", "ForeignIdentity", func(o *order) { o.subject = "somebody@example.org" }, nil},
		{"other-issuer", "ForeignIssuer", func(o *order) { o.issuer = "https://issuer.example.org" }, nil},
		{"after-expiry", "ExpiredCertificate", func(o *order) { o.at = o.from.Add(11 * time.Minute) }, append(stamped, forms[:2]...)},
		{"before-validity", "ExpiredCertificate", func(o *order) { o.at = o.from.Add(-time.Minute) }, nil},
		{"unknown-authority", "UnknownAuthority", func(o *order) {
			o.by = &authorities{middle: strangers.middle, middleKey: strangers.middleKey, root: strangers.root, log: o.by.log}
		}, nil},
		{"other-usage", "UnknownAuthority", func(o *order) { o.usage = x509.ExtKeyUsageClientAuth }, nil},
		{"no-log", "Unlogged", func(o *order) { o.unlogged = true }, forms},
		{"unknown-log", "Unlogged", func(o *order) { o.log = strangers.log }, nil},
		{"forged-time", "Unlogged", func(o *order) { o.forgedTime = true }, nil},
		{"forged-proof", "Unlogged", func(o *order) { o.forgedProof = true }, proven},
		{"no-certificate-log", "Unlogged", func(o *order) { o.certificates = nil }, nil},
		{"unknown-certificate-log", "Unlogged", func(o *order) { o.certificates = strangers.certificates }, nil},
		{"unknown-timestamp", "Unlogged", func(o *order) { o.stamps = strangers }, stamped},
		{"no-timestamp", "Unlogged", func(o *order) { o.stamped = false }, stamped},
		{"other-entry", "LoggedOtherwise", func(o *order) { o.otherEntry = true }, forms},
		{"other-key", "MalformedSignature", func(o *order) { o.otherKey = true }, forms},
		{"other-artifact", "AlteredDigest", func(o *order) { o.manifest = []byte("another") }, forms},
		{"other-name", "WrongIdentity", func(o *order) { o.reference = strings.Replace(o.reference, "bp-", "bp-not-", 1) }, nil},
	}
}

// One case as it is written down, for the tests of the signature crate and the lane.
type written struct {
	// simple, statement, message or rekor2.
	Form string `json:"form"`
	// Why it is refused; nothing where it counts.
	Reason string `json:"reason,omitempty"`
}

// writeCases makes a signature in each form and with each fault, a folder each, beside
// the trusted root, the manifest that they sign and who should have signed it.
func writeCases(folder, reference string, manifest []byte, at time.Time) {
	own, strangers := newAuthorities(at.AddDate(0, -1, 0)), newAuthorities(at.AddDate(0, -1, 0))
	write := func(path string, content []byte) {
		path = filepath.Join(folder, path)
		check(os.MkdirAll(filepath.Dir(path), 0o755))
		check(os.WriteFile(path, content, 0o644))
	}
	write("trusted_root.json", append(own.trustedRoot(), '\n'))
	write("manifest.json", manifest)
	write("signer.json", indented(map[string]string{"subject": subject, "issuer": issuer, "reference": reference}))
	for _, form := range forms {
		for _, one := range faults(strangers) {
			made := one.forms
			if made == nil {
				made = forms[:2]
			}
			if !slices.Contains(made, form) {
				continue
			}
			good := order{
				claims: claims{
					subject: subject, issuer: issuer, from: at, usage: x509.ExtKeyUsageCodeSigning,
					certificates: own.certificates,
				},
				manifest: manifest, reference: reference,
				by: own, at: at.Add(time.Minute), log: own.log, stamps: own,
				// The second kind of log says no time.
				stamped: form == "rekor2",
			}
			one.turn(&good)
			laid := good.made(form)
			name := form + "-" + one.name
			write(filepath.Join(name, "case.json"), indented(written{form, one.reason}))
			if laid.bundle != nil {
				write(filepath.Join(name, "bundle.json"), laid.bundle)
				continue
			}
			write(filepath.Join(name, "payload.json"), laid.payload)
			write(filepath.Join(name, "annotations.json"), indented(laid.annotations))
		}
	}
}

func indented(value any) []byte { return append(must(json.MarshalIndent(value, "", "  ")), '\n') }

func check(err error) {
	if err != nil {
		panic(err)
	}
}
