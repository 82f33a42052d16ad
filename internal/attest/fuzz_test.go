package attest

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// FuzzFile reads whatever an image may hold under the names that are looked at.
// What cannot be read is left out, with the reason; nothing else is an error.
func FuzzFile(f *testing.F) {
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	entry, err := w.Create("META-INF/maven/a/b/pom.properties")
	if err == nil {
		_, err = entry.Write([]byte("groupId=a\nartifactId=b\nversion=1\n"))
	}
	if err := errors.Join(err, w.Close()); err != nil {
		f.Fatal(err)
	}
	names := []string{"app/web-1.2.jar", "lib/apk/db/installed", "var/lib/dpkg/status", "a/node_modules/@s/x/package.json", "a/x.dist-info/METADATA", "etc/os-release", "bin/program"}
	f.Add(byte(0), archive.Bytes())
	f.Add(byte(1), []byte("P:musl\nV:1\n\n"))
	f.Add(byte(2), []byte("Package: a\nStatus: install ok installed\nVersion: 1\n more\n"))
	f.Add(byte(3), []byte(`{"name":"@s/x","version":"1","license":{}}`))
	f.Add(byte(4), []byte("Name: a\nVersion: 1\n\nbody"))
	f.Add(byte(5), []byte("ID=\"debian\"\n"))
	f.Add(byte(6), []byte("\x7fELF\x02\x01\x01"+strings.Repeat("\x00", 200)))
	f.Fuzz(func(t *testing.T, which byte, text []byte) {
		name := names[int(which)%len(names)]
		size := int64(len(text))
		if name == "bin/program" {
			size = 1 << 20 // what is smaller is no program
		}
		found := contents{Packages: map[string][]Package{}}
		if err := found.add(file{name: name, size: size, runs: true, stream: bytes.NewReader(text), direct: bytes.NewReader(text)}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, p := range merge([]contents{found}).Packages {
			if p.Name == "" || !strings.HasPrefix(p.url(), "pkg:"+p.Kind+"/") || strings.ContainsAny(p.url(), " \n\"") {
				t.Errorf("%s: package %+v has the URL %q", name, p, p.url())
			}
		}
	})
}

// FuzzLayer reads whatever a registry may give for a layer.
func FuzzLayer(f *testing.F) {
	f.Add([]byte("no archive"))
	f.Fuzz(func(t *testing.T, text []byte) {
		found, err := scanTar(t.Context(), bytes.NewReader(text))
		if err == nil {
			merge([]contents{found, found})
		}
	})
}

// FuzzBundle opens what others attach. Without the key nothing is believed.
func FuzzBundle(f *testing.F) {
	signer, err := NewSigner()
	if err != nil {
		f.Fatal(err)
	}
	body, err := newStatement(PredicateProvenance, Provenance{}, []Subject{{"web", map[string]string{"sha256": "00"}}})
	if err != nil {
		f.Fatal(err)
	}
	signed, err := signer.envelope(body)
	if err != nil {
		f.Fatal(err)
	}
	text, err := json.Marshal(signed)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AAAA"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var e envelope
		if json.Unmarshal(text, &e) != nil {
			return
		}
		if _, _, err := (bundle{Envelope: e}).open([]PublicKey{signer.Public}); err == nil && (e.Payload != signed.Payload || e.PayloadType != signed.PayloadType) {
			t.Errorf("it believes %s", text)
		}
	})
}
