package s3

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/towline/towline/internal/store"
)

// TestTheSameBytesComeAndGo has objects of the same bytes put and deleted at the
// same time: whatever is there at the end can be read, and nothing else is left.
func TestTheSameBytesComeAndGo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c, ctx := b.sdk(operatorID, ""), t.Context()
	var together sync.WaitGroup
	for worker := range 6 {
		together.Go(func() {
			key := fmt.Sprint("key-", worker%3) // each of two workers
			for round := range 30 {
				_, err := c.PutObject(ctx, &sdk.PutObjectInput{Bucket: new("sources"), Key: &key, Body: strings.NewReader("the same")})
				if err != nil && codeOf(err) != "SlowDown" {
					t.Error(err)
				}
				got, err := c.GetObject(ctx, &sdk.GetObjectInput{Bucket: new("sources"), Key: &key})
				if err == nil {
					if text, err := io.ReadAll(got.Body); err != nil || string(text) != "the same" {
						t.Errorf("%q %v", text, err)
					}
				} else if codeOf(err) != "NoSuchKey" {
					t.Error(err)
				}
				if round%2 == 0 {
					if _, err := c.DeleteObject(ctx, &sdk.DeleteObjectInput{Bucket: new("sources"), Key: &key}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	together.Wait()
	for worker := range 3 {
		o, err := b.db.Object(ctx, "sources", fmt.Sprint("key-", worker))
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := b.handler.there(ctx, o.Chunks); err != nil {
			t.Errorf("%s has no bytes: %v", o.Key, err)
		}
		if err := b.handler.remove(ctx, o.Bucket, o.Key); err != nil {
			t.Error(err)
		}
	}
	if n := b.stored(t); n != 0 {
		t.Errorf("%d files are left", n)
	}
}
