package main

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strconv"
	"time"
)

const (
	statementType = "application/vnd.in-toto+json"
	predicate     = "https://sigstore.dev/cosign/sign/v1"
	bundleType    = "application/vnd.dev.sigstore.bundle.v0.3+json"
	entryIndex    = 1
)

// forms of a signature: the tag's, and bundles around a statement or a digest, the last
// with an entry of the second kind of log, which says no time.
var forms = []string{"simple", "statement", "message", "rekor2"}

// order is what one signature is made of; the cases turn single fields of a good one.
type order struct {
	claims
	// What is signed, and its name.
	manifest  []byte
	reference string
	by        *authorities
	// The time that the log or the timestamp authority vouches for.
	at time.Time
	// Who signs what the log says.
	log *ecdsa.PrivateKey
	// Whose timestamps.
	stamps *authorities
	// Beside the log's word a timestamp.
	stamped bool
	// Neither promise nor proof.
	unlogged bool
	// The log's time is changed afterwards.
	forgedTime bool
	// The proof's hashes are changed afterwards.
	forgedProof bool
	// The entry is that of another signature.
	otherEntry bool
	// The signature is by another key than the certificate's.
	otherKey bool
}

// signature is what lies beside an artifact: payload and annotations of the tag's form,
// or a bundle.
type signature struct {
	payload     []byte
	annotations map[string]string
	bundle      []byte
}

func pemOf(certificates ...*x509.Certificate) string {
	var text []byte
	for _, one := range certificates {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: one.Raw})...)
	}
	return string(text)
}

// object is JSON with its keys in order and nothing between them, which is how entries
// are hashed.
func object(value any) []byte { return must(json.Marshal(value)) }

type dict = map[string]any

func digestOf(bytes []byte) string {
	hash := sha256.Sum256(bytes)
	return hex.EncodeToString(hash[:])
}

func hashedRekord(message, signature []byte, certificate *x509.Certificate) []byte {
	return object(dict{
		"apiVersion": "0.0.1", "kind": "hashedrekord",
		"spec": dict{
			"data": dict{"hash": dict{"algorithm": "sha256", "value": digestOf(message)}},
			"signature": dict{
				"content": b64(signature), "publicKey": dict{"content": b64([]byte(pemOf(certificate)))},
			},
		},
	})
}

func hashedRekord2(message, signature []byte, certificate *x509.Certificate) []byte {
	hash := sha256.Sum256(message)
	return object(dict{
		"apiVersion": "0.0.2", "kind": "hashedrekord",
		"spec": dict{"hashedRekordV002": dict{
			"data": dict{"algorithm": "SHA2_256", "digest": b64(hash[:])},
			"signature": dict{
				"content": b64(signature),
				"verifier": dict{
					"keyDetails": "PKIX_ECDSA_P256_SHA_256", "x509Certificate": dict{"rawBytes": b64(certificate.Raw)},
				},
			},
		}},
	})
}

func dsse(payload, envelope, signature []byte, certificate *x509.Certificate) []byte {
	return object(dict{
		"apiVersion": "0.0.1", "kind": "dsse",
		"spec": dict{
			"envelopeHash": dict{"algorithm": "sha256", "value": digestOf(envelope)},
			"payloadHash":  dict{"algorithm": "sha256", "value": digestOf(payload)},
			"signatures": []any{dict{
				"signature": b64(signature), "verifier": b64([]byte(pemOf(certificate))),
			}},
		},
	})
}

func preAuthentication(payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(statementType), statementType, len(payload), payload)
}

// made makes a signature in a form.
func (o order) made(form string) signature {
	key := newKey()
	certificate := o.by.issue(o.claims, key.Public())
	signer := key
	if o.otherKey {
		signer = newKey()
	}
	hash := digestOf(o.manifest)
	var message, payload []byte
	switch form {
	case "simple":
		payload = object(dict{
			"critical": dict{
				"identity": dict{"docker-reference": o.reference},
				"image":    dict{"docker-manifest-digest": "sha256:" + hash},
				"type":     "cosign container image signature",
			},
			"optional": nil,
		})
		message = payload
	case "message":
		message = o.manifest
	default:
		payload = object(dict{
			"_type":         "https://in-toto.io/Statement/v1",
			"subject":       []any{dict{"name": o.reference, "digest": dict{"sha256": hash}}},
			"predicateType": predicate, "predicate": dict{},
		})
		message = preAuthentication(payload)
	}
	made := sign(signer, message)
	envelope := dict{
		"payload": b64(payload), "payloadType": statementType,
		"signatures": []any{dict{"sig": b64(made)}},
	}
	logged, loggedBy := made, certificate
	if o.otherEntry {
		other := newKey()
		logged, loggedBy = sign(other, message), o.by.issue(o.claims, other.Public())
	}
	kind, version := "hashedrekord", "0.0.1"
	var body []byte
	switch form {
	case "statement":
		kind = "dsse"
		body = dsse(payload, object(envelope), logged, loggedBy)
	case "rekor2":
		version = "0.0.2"
		body = hashedRekord2(message, logged, loggedBy)
	default:
		body = hashedRekord(message, logged, loggedBy)
	}
	at := o.at.Unix()
	promise := o.by.promise(o.log, body, entryIndex, at)
	if o.forgedTime {
		at -= 60
	}
	stamp := o.stamps.timestamped(made, o.at)
	if form == "simple" {
		annotations := map[string]string{
			"dev.cosignproject.cosign/signature": b64(made),
			"dev.sigstore.cosign/certificate":    pemOf(certificate),
			"dev.sigstore.cosign/chain":          pemOf(o.by.middle, o.by.root),
		}
		if !o.unlogged {
			annotations["dev.sigstore.cosign/bundle"] = string(object(dict{
				"SignedEntryTimestamp": b64(promise),
				"Payload": dict{
					"body": b64(body), "integratedTime": at, "logIndex": entryIndex,
					"logID": hex.EncodeToString(o.by.logID()),
				},
			}))
		}
		if o.stamped {
			annotations["dev.sigstore.cosign/rfc3161timestamp"] = string(object(dict{"SignedRFC3161Timestamp": b64(stamp)}))
		}
		return signature{payload: payload, annotations: annotations}
	}
	entry := dict{
		"logIndex": strconv.Itoa(entryIndex), "logId": dict{"keyId": b64(o.by.logID())},
		"kindVersion": dict{"kind": kind, "version": version}, "canonicalizedBody": b64(body),
	}
	if form != "rekor2" {
		entry["integratedTime"] = strconv.FormatInt(at, 10)
		entry["inclusionPromise"] = dict{"signedEntryTimestamp": b64(promise)}
	}
	if !o.unlogged {
		origin := logHost
		if form != "rekor2" {
			origin += " - 1"
		}
		hashes, root, checkpoint := o.by.inclusion(o.log, body, origin)
		if o.forgedProof {
			hashes[0][0] ^= 1
		}
		entry["inclusionProof"] = dict{
			"logIndex": strconv.Itoa(entryIndex), "treeSize": "2", "rootHash": b64(root),
			"hashes": []any{b64(hashes[0])}, "checkpoint": dict{"envelope": checkpoint},
		}
	}
	material := dict{
		"certificate": dict{"rawBytes": b64(certificate.Raw)}, "tlogEntries": []any{entry},
	}
	if o.stamped {
		material["timestampVerificationData"] = dict{
			"rfc3161Timestamps": []any{dict{"signedTimestamp": b64(stamp)}},
		}
	}
	bundle := dict{"mediaType": bundleType, "verificationMaterial": material}
	if form == "message" {
		digest := must(hex.DecodeString(hash))
		bundle["messageSignature"] = dict{
			"messageDigest": dict{"algorithm": "SHA2_256", "digest": b64(digest)}, "signature": b64(made),
		}
	} else {
		bundle["dsseEnvelope"] = envelope
	}
	return signature{bundle: object(bundle)}
}
