package engine

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// cached is what DataFiles says, as of now.
func cached(t testing.TB, s *Store) DataFiles {
	t.Helper()
	must(t, s.Merge(t.Context())) // with ManualSteps it is what looks
	return s.DataFiles()
}

// TestCache: a value that was read is there without its file, for direct calls and for those of a batch alike, until its key
// is written.
func TestCache(t *testing.T) {
	s := bitcaskStore(t, t.TempDir(), Options{ManualSteps: true, CacheBytes: 1 << 20})
	value := bytes.Repeat([]byte("v"), 4096)
	must(t, s.Set([]byte("k"), value))
	must(t, s.Set([]byte("large"), append(value, 'v')))
	must(t, s.Sync(t.Context()))
	room := make([]byte, 0, 5000)
	for range 3 {
		for key, want := range map[string][]byte{"k": value, "large": append(value, 'v')} {
			if got, err := s.Get(room, []byte(key)); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %d bytes, %v", key, len(got), err)
			}
		}
	}
	f := cached(t, s)
	if f.CacheValues != 1 || f.CacheBytes != 4096+9 || f.CacheMisses != 4 || f.CacheHits != 2 || f.CacheEvictions != 0 {
		t.Errorf("after three reads of two values: %+v", f)
	}
	for _, dst := range [][]byte{nil, make([]byte, 0, 100), make([]byte, 3, 5000)} {
		if got, err := s.Get(dst, []byte("k")); err != nil || !bytes.Equal(got[len(dst):], value) {
			t.Errorf("into %d of %d bytes: %d bytes, %v", len(dst), cap(dst), len(got), err)
		}
	}
	must(t, s.Set([]byte("k"), []byte("new")))
	wantValue(t, s, "k", "new")
	if f := cached(t, s); f.CacheValues != 1 || f.CacheBytes != 3+9 {
		t.Errorf("after a write: %+v", f)
	}
	must(t, s.Set([]byte("k"), []byte("what is damaged")))
	must(t, s.Sync(t.Context()))
	wantValue(t, s, "k", "what is damaged")
	flip(t, s.opt.Dir, "what is") // of a cached value nobody reads the record
	wantValue(t, s, "k", "what is damaged")
}

// TestCacheIsBounded, whoever reads what, and gives its memory back when writes need it.
func TestCacheIsBounded(t *testing.T) {
	const size = 64 << 10
	s := bitcaskStore(t, t.TempDir(), Options{Segments: 4, CacheBytes: size})
	value := bytes.Repeat([]byte("v"), 500)
	for i := range 1000 {
		must(t, s.Set(fmt.Appendf(nil, "%d", i), value))
	}
	must(t, s.Sync(t.Context()))
	for range 3 {
		for i := range 1000 {
			wantValue(t, s, fmt.Sprint(i), string(value))
		}
	}
	waitFor(t, "the cache to be seen", func() bool { return s.DataFiles().CacheEvictions > 0 })
	if f := s.DataFiles(); f.CacheBytes > size || f.CacheBytes < size/2 || f.CacheValues != f.CacheBytes/509 {
		t.Errorf("%+v", f)
	}
	must(t, s.SetMaxMemory(1))
	waitFor(t, "the cache to be given up", func() bool { return s.DataFiles().CacheBytes == 0 })
}

// TestCacheKeepsWhatIsHot: with room for one value in a hundred, and keys asked for by Zipf's distribution, most are found; and
// again when other keys are the hot ones.
func TestCacheKeepsWhatIsHot(t *testing.T) {
	const keys, reads = 20_000, 150_000
	s := bitcaskStore(t, t.TempDir(), Options{ManualSteps: true, Segments: 16, CacheBytes: keys / 100 * 109})
	value := bytes.Repeat([]byte("v"), 100)
	for i := range keys {
		must(t, s.Set(fmt.Appendf(nil, "%d", i), value))
	}
	must(t, s.Sync(t.Context()))
	zipf := rand.NewZipf(random(t), 1.1, 1, keys-1)
	buf := make([]byte, 0, len(value))
	for _, hot := range []string{"first", "last"} {
		before := cached(t, s)
		for range reads {
			key := int(zipf.Uint64())
			if hot == "last" {
				key = keys - 1 - key
			}
			if got, err := s.Get(buf, fmt.Appendf(nil, "%d", key)); err != nil || len(got) != len(value) {
				t.Fatalf("key %d: %d bytes, %v", key, len(got), err)
			}
		}
		after := cached(t, s)
		hits, misses := after.CacheHits-before.CacheHits, after.CacheMisses-before.CacheMisses
		t.Logf("the %s keys are hot: %d hits, %d misses", hot, hits, misses)
		if hits+misses != reads || hits < reads*6/10 || after.CacheValues > keys/100 {
			t.Errorf("the %s keys are hot: %d hits, %d misses, %d values", hot, hits, misses, after.CacheValues)
		}
	}
}

// TestCacheUnderMerges is TestBitcaskUnderMerges with a cache that has room for a third of the values.
func TestCacheUnderMerges(t *testing.T) { underMerges(t, Options{Segments: 4, CacheBytes: 16 << 10}) }
