package pipeline_test

import (
	"testing"

	"github.com/towline/towline/internal/pipeline"
)

func TestParseSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"1": 1, "1048576": 1 << 20, "2Gi": 2 << 30, "1.5Gi": 3 << 29, "500M": 500e6, "64Ki": 64 << 10, "1Ti": 1 << 40, "3k": 3000, "1G": 1e9, "2T": 2e12,
		"": 0, "Gi": 0, "0": 0, "0Gi": 0, "-1Gi": 0, "1e3": 0, "2GB": 0, "2 Gi": 0, "0x10": 0, "inf": 0, "NaN": 0, "1_000": 0, "9999999Ti": 0, "1..2": 0, "0.1": 0,
	} {
		got, err := pipeline.ParseSize(text)
		if got != want || (err != nil) != (want == 0) {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
}

func FuzzParseSize(f *testing.F) {
	for _, text := range []string{"2Gi", "1.5M", "", "-1", "1e309Ti", "Ki"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := pipeline.ParseSize(text); (err == nil) != (got > 0) {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	})
}
