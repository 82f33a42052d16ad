package s3

import (
	"crypto/md5"  //nolint:gosec // S3's ETags and Content-MD5 are made of it; nothing is trusted for it
	"crypto/sha1" //nolint:gosec // one of S3's checksums against broken lines
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"net/http"
	"strings"
)

// checksums are S3's, by the last part of the names of their headers.
var checksums = map[string]func() hash.Hash{
	"crc32":     func() hash.Hash { return crc32.NewIEEE() },
	"crc32c":    func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) },
	"crc64nvme": func() hash.Hash { return crc64.New(crc64NVME) },
	"sha1":      sha1.New,
	"sha256":    sha256.New,
}

// crc64NVME is the polynomial of NVMe's 64 bit checksum, reflected.
var crc64NVME = crc64.MakeTable(0x9A6C9329AC4BC9B5)

const (
	checksumHeader    = "X-Amz-Checksum-"
	checksumAlgorithm = "X-Amz-Checksum-Algorithm"
	checksumType      = "X-Amz-Checksum-Type"
	decodedLength     = "X-Amz-Decoded-Content-Length"
)

// checksum is one that a client has announced for a body.
type checksum struct {
	name string // such as crc32, "" for none
	want string // in base64, "" when it comes after the body
	sum  hash.Hash
}

// header is the canonical name of its header.
func (c checksum) header() string { return http.CanonicalHeaderKey(checksumHeader + c.name) }

// announced finds the checksum of a request's body: in a header, or announced
// for what follows it. A client that names an algorithm alone gets its value.
func (q *request) announced() (c checksum, err error) {
	trailer := strings.ToLower(q.asked("X-Amz-Trailer"))
	for name, newHash := range checksums {
		value := q.asked(checksumHeader + name)
		if value == "" && trailer != strings.ToLower(checksumHeader+name) {
			continue
		}
		if c.name != "" {
			return c, faultf(http.StatusBadRequest, "InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
		}
		c = checksum{name, value, newHash()}
	}
	if named := strings.ToLower(q.asked("X-Amz-Sdk-Checksum-Algorithm")); c.name == "" && named != "" {
		c, err = newChecksum(named)
	}
	return c, err
}

// newChecksum is one of an algorithm by its name in any case.
func newChecksum(name string) (checksum, error) {
	name = strings.ToLower(name)
	newHash, ok := checksums[name]
	if !ok {
		return checksum{}, faultf(http.StatusBadRequest, "InvalidRequest", "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
	}
	return checksum{name: name, sum: newHash()}, nil
}

// value is the sum in S3's form.
func (c checksum) value() string { return base64.StdEncoding.EncodeToString(c.sum.Sum(nil)) }

// check compares the sum with the one that the client has given, if it has.
func (c checksum) check(trailer map[string]string) error {
	if c.name == "" {
		return nil
	}
	want := c.want
	if want == "" {
		want = trailer[strings.ToLower(checksumHeader+c.name)]
	}
	if want != "" && want != c.value() {
		return faultf(http.StatusBadRequest, "BadDigest", "The %s you specified did not match the calculated checksum.", strings.ToUpper(c.name))
	}
	return nil
}

// contentMD5 is the digest in the header of that name, nil for none.
func (q *request) contentMD5() ([]byte, error) {
	text := q.asked("Content-Md5")
	if text == "" {
		return nil, nil
	}
	sum, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(sum) != md5.Size {
		return nil, faultf(http.StatusBadRequest, "InvalidDigest", "The Content-MD5 you specified is not valid.")
	}
	return sum, nil
}

// composite is the checksum of an object in parts: that of the parts' sums.
func composite(name string, sums []string) (string, error) {
	c, err := newChecksum(name)
	if err != nil {
		return "", err
	}
	for _, sum := range sums {
		raw, err := base64.StdEncoding.DecodeString(sum)
		if err != nil || len(raw) == 0 {
			return "", faultf(http.StatusBadRequest, "InvalidPart", "A part was uploaded without the checksum that its upload was begun with.")
		}
		c.sum.Write(raw)
	}
	return fmt.Sprintf("%s-%d", c.value(), len(sums)), nil
}
