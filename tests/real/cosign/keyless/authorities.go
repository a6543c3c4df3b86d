package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"time"

	"github.com/digitorus/timestamp"
)

// Fulcio's extensions and that of RFC 6962.
var (
	issuerRaw     = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}
	issuerUTF8    = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}
	sctList       = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}
	extendedUsage = asn1.ObjectIdentifier{2, 5, 29, 37}
	timeStamping  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}
)

const logHost = "log.example"

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func newKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func spki(key *ecdsa.PrivateKey) []byte { return must(x509.MarshalPKIXPublicKey(key.Public())) }

func sign(key *ecdsa.PrivateKey, message []byte) []byte {
	hash := sha256.Sum256(message)
	return must(ecdsa.SignASN1(rand.Reader, key, hash[:]))
}

func b64(bytes []byte) string { return base64.StdEncoding.EncodeToString(bytes) }

func serial() *big.Int { return must(rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))) }

// authorities are all that keyless signatures are held against: a certificate
// authority, the log of its certificates, a transparency log of each kind, and a
// timestamp authority.
type authorities struct {
	since        time.Time
	root, middle *x509.Certificate
	middleKey    *ecdsa.PrivateKey
	certificates *ecdsa.PrivateKey
	log          *ecdsa.PrivateKey
	stamp        *x509.Certificate
	stampRoot    *x509.Certificate
	stampKey     *ecdsa.PrivateKey
}

func create(template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	der := must(x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by))
	return must(x509.ParseCertificate(der))
}

// newAuthorities are valid for years from since on.
func newAuthorities(since time.Time) *authorities {
	a := &authorities{
		since: since, middleKey: newKey(), certificates: newKey(), log: newKey(), stampKey: newKey(),
	}
	ca := func(name string, usage ...x509.ExtKeyUsage) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: serial(), Subject: pkix.Name{CommonName: name, Organization: []string{"example"}},
			NotBefore: since, NotAfter: since.AddDate(20, 0, 0),
			KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, ExtKeyUsage: usage,
			BasicConstraintsValid: true, IsCA: true,
		}
	}
	rootKey := newKey()
	template := ca("root")
	a.root = create(template, template, rootKey, rootKey)
	a.middle = create(ca("middle", x509.ExtKeyUsageCodeSigning), a.root, a.middleKey, rootKey)
	stampRootKey := newKey()
	template = ca("timestamps")
	a.stampRoot = create(template, template, stampRootKey, stampRootKey)
	stamp := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "timestamp", Organization: []string{"example"}},
		NotBefore: since, NotAfter: since.AddDate(20, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{{
			Id: extendedUsage, Critical: true, Value: must(asn1.Marshal([]asn1.ObjectIdentifier{timeStamping})),
		}},
	}
	a.stamp = create(stamp, a.stampRoot, a.stampKey, stampRootKey)
	return a
}

// claims are what a signer's certificate says.
type claims struct {
	subject, issuer string
	from            time.Time
	usage           x509.ExtKeyUsage
	// Who vouches that the certificate was logged; nobody where it is nil.
	certificates *ecdsa.PrivateKey
}

// issue makes a certificate of ten minutes, with the proof that it was logged in it.
func (a *authorities) issue(c claims, key crypto.PublicKey) *x509.Certificate {
	template := &x509.Certificate{
		SerialNumber: serial(), NotBefore: c.from, NotAfter: c.from.Add(10 * time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{c.usage},
		ExtraExtensions: []pkix.Extension{
			{Id: issuerRaw, Value: []byte(c.issuer)},
			{Id: issuerUTF8, Value: must(asn1.MarshalWithParams(c.issuer, "utf8"))},
		},
	}
	if strings.Contains(c.subject, "://") {
		template.URIs = []*url.URL{must(url.Parse(c.subject))}
	} else {
		template.EmailAddresses = []string{c.subject}
	}
	make := func() *x509.Certificate {
		der := must(x509.CreateCertificate(rand.Reader, template, a.middle, key, a.middleKey))
		return must(x509.ParseCertificate(der))
	}
	certificate := make()
	if c.certificates == nil {
		return certificate
	}
	// The extension is the last one, so that what is there before it is what was logged.
	proof := a.proof(c, certificate.RawTBSCertificate)
	template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: sctList, Value: proof})
	return make()
}

// proof is the list of one signed certificate timestamp (RFC 6962, section 3.3).
func (a *authorities) proof(c claims, tbs []byte) []byte {
	at := uint64(c.from.UnixMilli())
	issuer := sha256.Sum256(a.middle.RawSubjectPublicKeyInfo)
	signed := binary.BigEndian.AppendUint64([]byte{0, 0}, at)
	signed = append(signed, 0, 1)
	signed = append(signed, issuer[:]...)
	signed = append(signed, byte(len(tbs)>>16), byte(len(tbs)>>8), byte(len(tbs)))
	signed = append(append(signed, tbs...), 0, 0)
	signature := sign(c.certificates, signed)
	id := sha256.Sum256(spki(c.certificates))
	sct := append([]byte{0}, id[:]...)
	sct = binary.BigEndian.AppendUint64(sct, at)
	sct = append(sct, 0, 0, 4, 3)
	sct = binary.BigEndian.AppendUint16(sct, uint16(len(signature)))
	sct = append(sct, signature...)
	list := binary.BigEndian.AppendUint16(nil, uint16(len(sct)+2))
	list = binary.BigEndian.AppendUint16(list, uint16(len(sct)))
	return must(asn1.Marshal(append(list, sct...)))
}

// timestamped is a response of the timestamp authority (RFC 3161).
func (a *authorities) timestamped(signature []byte, at time.Time) []byte {
	hash := sha256.Sum256(signature)
	template := timestamp.Timestamp{
		HashAlgorithm: crypto.SHA256, HashedMessage: hash[:], Time: at, SerialNumber: serial(),
		Policy: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2}, AddTSACertificate: true,
	}
	return must(template.CreateResponseWithOpts(a.stamp, a.stampKey, crypto.SHA256))
}

func (a *authorities) logID() []byte {
	id := sha256.Sum256(spki(a.log))
	return id[:]
}

// promise is the log's signature over an entry, its place and its time.
func (a *authorities) promise(by *ecdsa.PrivateKey, body []byte, index, at int64) []byte {
	// Keys in order, no spaces: the canonical form.
	payload := fmt.Sprintf(`{"body":%q,"integratedTime":%d,"logID":%q,"logIndex":%d}`,
		b64(body), at, hex.EncodeToString(a.logID()), index)
	return sign(by, []byte(payload))
}

// inclusion is the proof that an entry stands second in a log of two, and the log's
// signature over its root. The first kind of log has its number in the origin.
func (a *authorities) inclusion(by *ecdsa.PrivateKey, body []byte, origin string) (hashes [][]byte, root []byte, checkpoint string) {
	first := sha256.Sum256([]byte("\x00the entry before"))
	leaf := sha256.Sum256(append([]byte{0}, body...))
	both := append([]byte{1}, first[:]...)
	hash := sha256.Sum256(append(both, leaf[:]...))
	text := fmt.Sprintf("%s\n2\n%s\n", origin, b64(hash[:]))
	id := sha256.Sum256(spki(by))
	signature := append(id[:4:4], sign(by, []byte(text))...)
	checkpoint = fmt.Sprintf("%s\n— %s %s\n", text, logHost, b64(signature))
	return [][]byte{first[:]}, hash[:], checkpoint
}

// trustedRoot is the file that tells all of them, as `--trusted-root` takes it.
func (a *authorities) trustedRoot() []byte {
	window := map[string]any{"start": a.since.UTC().Format(time.RFC3339)}
	chain := func(all ...*x509.Certificate) map[string]any {
		certificates := []map[string]any{}
		for _, one := range all {
			certificates = append(certificates, map[string]any{"rawBytes": b64(one.Raw)})
		}
		return map[string]any{"certificates": certificates}
	}
	log := func(host string, key *ecdsa.PrivateKey) map[string]any {
		id := sha256.Sum256(spki(key))
		return map[string]any{
			"baseUrl": "https://" + host, "hashAlgorithm": "SHA2_256",
			"publicKey": map[string]any{
				"rawBytes": b64(spki(key)), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": window,
			},
			"logId": map[string]any{"keyId": b64(id[:])},
		}
	}
	subject := map[string]any{"organization": "example", "commonName": "example"}
	return must(json.MarshalIndent(map[string]any{
		"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
		"tlogs":     []any{log(logHost, a.log)},
		"ctlogs":    []any{log("certificates.example", a.certificates)},
		"certificateAuthorities": []any{map[string]any{
			"subject": subject, "uri": "https://certificates.example",
			"certChain": chain(a.middle, a.root), "validFor": window,
		}},
		"timestampAuthorities": []any{map[string]any{
			"subject": subject, "uri": "https://timestamps.example",
			"certChain": chain(a.stamp, a.stampRoot), "validFor": window,
		}},
	}, "", "  "))
}
