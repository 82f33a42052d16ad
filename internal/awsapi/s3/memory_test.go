package s3

import (
	"io"
	"net/http"
	"runtime"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/towline/towline/internal/awsapi/access"
)

// TestLargeObjectsGoThroughLittleMemory counts what is allocated on the way of
// 100 MiB in and out, freed or not.
func TestLargeObjectsGoThroughLittleMemory(t *testing.T) { //nolint:paralleltest // it counts what the whole process allocates
	const size, most = 100 << 20, 10 << 20
	b := setup(t)
	c := b.sdk(operatorID, "")
	url, err := sdk.NewPresignClient(c).PresignPutObject(t.Context(), &sdk.PutObjectInput{Bucket: new("sources"), Key: new("large")})
	if err != nil {
		t.Fatal(err)
	}
	in := allocated(func() { send(t, url.URL, size) })
	get, err := sdk.NewPresignClient(c).PresignGetObject(t.Context(), &sdk.GetObjectInput{Bucket: new("sources"), Key: new("large")})
	if err != nil {
		t.Fatal(err)
	}
	out := allocated(func() { fetch(t, get.URL, size) })
	t.Logf("put allocates %d KiB, get %d KiB", in>>10, out>>10)
	if in > most || out > most {
		t.Errorf("put allocates %d bytes, get %d", in, out)
	}
	inside := allocated(func() {
		r, _, err := b.handler.Open(t.Context(), access.Object{Bucket: "sources", Key: "large"})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if n, err := io.Copy(io.Discard, r); n != size || err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
	})
	if inside > most {
		t.Errorf("reading inside allocates %d bytes", inside)
	}
}

// allocated counts the bytes that are allocated while do runs.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// zeros are bytes without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func send(t *testing.T, url string, size int64) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, io.LimitReader(zeros{}, size))
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = size
	exchange(t, r, 0)
}

func fetch(t *testing.T, url string, size int64) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	exchange(t, r, size)
}

func exchange(t *testing.T, r *http.Request, size int64) {
	t.Helper()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if n, err := io.Copy(io.Discard, response.Body); err != nil || n != size || response.StatusCode != http.StatusOK {
		t.Fatalf("%d bytes, status %s: %v", n, response.Status, err)
	}
}
