package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Whom the certificates of the served authority are made out to.
const mail = "releases@example.org"

// serve is a certificate authority and a transparency log for stock cosign to sign by, as
// Fulcio and Rekor answer it. Whoever holds the token gets a certificate.
func serve(folder string) {
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	address := "http://" + listener.Addr().String()
	own := newAuthorities(time.Now().AddDate(0, 0, -1))
	write := func(name string, content []byte) {
		check(os.WriteFile(filepath.Join(folder, name), content, 0o644))
	}
	check(os.MkdirAll(folder, 0o755))
	public := func(key *ecdsa.PrivateKey) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki(key)})
	}
	write("trusted_root.json", own.trustedRoot())
	write("certificates.pub", public(own.certificates))
	write("log.pub", public(own.log))
	write("root.pem", []byte(pemOf(own.middle, own.root)))
	write("token", []byte(token()))
	write("signer.json", indented(map[string]string{"subject": mail, "issuer": issuer}))
	service := []any{dict{
		"url": address, "majorApiVersion": 1, "operator": "example",
		"validFor": dict{"start": own.since.UTC().Format(time.RFC3339)},
	}}
	write("signing_config.json", indented(dict{
		"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
		"caUrls":    service, "oidcUrls": service, "rekorTlogUrls": service,
		"rekorTlogConfig": dict{"selector": "ANY"}, "tsaConfig": dict{"selector": "ANY"},
	}))
	http.HandleFunc("POST /api/v1/signingCert", answering(own.certificateOld))
	http.HandleFunc("POST /api/v2/signingCert", answering(own.certificate))
	http.HandleFunc("POST /api/v1/log/entries", answering(own.logged))
	// Written last: whoever waits for it finds the rest.
	write("url", []byte(address))
	check(http.Serve(listener, nil))
}

// token is what an issuer would give; nobody here asks who signed it.
func token() string {
	part := func(value any) string { return base64.RawURLEncoding.EncodeToString(object(value)) }
	now := time.Now()
	return strings.Join([]string{
		part(dict{"alg": "ES256", "typ": "JWT"}),
		part(dict{
			"iss": issuer, "sub": "releases", "aud": "sigstore", "email": mail, "email_verified": true,
			"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		}),
		base64.RawURLEncoding.EncodeToString([]byte("unsigned")),
	}, ".")
}

func answering(answer func(http.ResponseWriter, []byte) error) http.HandlerFunc {
	return func(response http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(io.LimitReader(request.Body, 1<<20))
		if err == nil {
			err = answer(response, body)
		}
		if err != nil {
			http.Error(response, err.Error(), http.StatusBadRequest)
		}
	}
}

func (a *authorities) now(der []byte) (*x509.Certificate, error) {
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, err
	}
	return a.issue(claims{
		subject: mail, issuer: issuer, from: time.Now().Add(-time.Minute),
		usage: x509.ExtKeyUsageCodeSigning, certificates: a.certificates,
	}, crypto.PublicKey(key)), nil
}

// certificateOld answers as the first version of Fulcio's interface.
func (a *authorities) certificateOld(response http.ResponseWriter, body []byte) error {
	var asked struct {
		PublicKey struct{ Content []byte }
	}
	if err := json.Unmarshal(body, &asked); err != nil {
		return err
	}
	block, _ := pem.Decode(asked.PublicKey.Content)
	if block == nil {
		return errors.New("the public key is no PEM")
	}
	certificate, err := a.now(block.Bytes)
	if err != nil {
		return err
	}
	response.Header().Set("content-type", "application/pem-certificate-chain")
	response.WriteHeader(http.StatusCreated)
	_, err = io.WriteString(response, pemOf(certificate, a.middle, a.root))
	return err
}

func (a *authorities) certificate(response http.ResponseWriter, body []byte) error {
	var asked struct {
		PublicKeyRequest struct {
			PublicKey struct{ Content string }
		}
	}
	if err := json.Unmarshal(body, &asked); err != nil {
		return err
	}
	block, _ := pem.Decode([]byte(asked.PublicKeyRequest.PublicKey.Content))
	if block == nil {
		return errors.New("the public key is no PEM")
	}
	certificate, err := a.now(block.Bytes)
	if err != nil {
		return err
	}
	response.Header().Set("content-type", "application/json")
	chain := []string{pemOf(certificate), pemOf(a.middle), pemOf(a.root)}
	return json.NewEncoder(response).Encode(dict{
		"signedCertificateEmbeddedSct": dict{"chain": dict{"certificates": chain}},
	})
}

// logged takes an entry, and answers with its promise and its proof.
func (a *authorities) logged(response http.ResponseWriter, body []byte) error {
	var asked struct {
		APIVersion string
		Kind       string
		Spec       struct {
			Data, Signature any
			ProposedContent struct {
				Envelope  string
				Verifiers [][]byte
			}
		}
	}
	if err := json.Unmarshal(body, &asked); err != nil {
		return err
	}
	var entry []byte
	switch asked.Kind {
	case "hashedrekord":
		entry = object(dict{
			"apiVersion": asked.APIVersion, "kind": asked.Kind,
			"spec": dict{"data": asked.Spec.Data, "signature": asked.Spec.Signature},
		})
	case "dsse":
		proposed := asked.Spec.ProposedContent
		var envelope struct {
			Payload    []byte
			Signatures []struct{ Sig []byte }
		}
		if err := json.Unmarshal([]byte(proposed.Envelope), &envelope); err != nil {
			return err
		}
		if len(envelope.Signatures) != 1 || len(proposed.Verifiers) != 1 {
			return errors.New("one signature and its certificate are taken")
		}
		block, _ := pem.Decode(proposed.Verifiers[0])
		if block == nil {
			return errors.New("the verifier is no PEM")
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return err
		}
		entry = dsse(envelope.Payload, []byte(proposed.Envelope), envelope.Signatures[0].Sig, certificate)
	default:
		return errors.New("entries of the kind " + asked.Kind + " are not taken")
	}
	at := time.Now().Unix()
	hashes, root, checkpoint := a.inclusion(a.log, entry, logHost+" - 1")
	id := digestOf(append([]byte{0}, entry...))
	response.Header().Set("content-type", "application/json")
	response.Header().Set("etag", id)
	response.WriteHeader(http.StatusCreated)
	return json.NewEncoder(response).Encode(dict{id: dict{
		"body": b64(entry), "integratedTime": at, "logID": hex.EncodeToString(a.logID()), "logIndex": entryIndex,
		"verification": dict{
			"signedEntryTimestamp": b64(a.promise(a.log, entry, entryIndex, at)),
			"inclusionProof": dict{
				"checkpoint": checkpoint, "hashes": []string{hex.EncodeToString(hashes[0])},
				"logIndex": entryIndex, "rootHash": hex.EncodeToString(root), "treeSize": 2,
			},
		},
	}})
}
