package engine

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// compressible returns n bytes that can be made much shorter, others for each seed.
func compressible(seed uint64, n int) []byte {
	words := strings.Fields("value record merge hint file log key disk sync gate chunk store")
	rng := rand.New(rand.NewPCG(seed, 2))
	var b bytes.Buffer
	for b.Len() < n {
		b.WriteString(words[rng.IntN(len(words))])
		b.WriteByte(' ')
	}
	return b.Bytes()[:n]
}

// sizes are those at which a value is packed, and kept in another way.
var sizes = []int{0, 63, 64, 1000, 20000, 65535, 65536, 300000}

// wantValues checks what compressedValues has written.
func wantValues(t *testing.T, s *Store) {
	t.Helper()
	for i, n := range sizes {
		key := fmt.Sprint("k", i)
		wantValue(t, s, key, string(compressible(uint64(i), n)))
		info, err := s.Info([]byte(key))
		if err != nil || info.Bytes != uint64(n) {
			t.Errorf("%s: %+v, %v, want %d bytes", key, info, err, n)
		}
		small := make([]byte, 0, 10) // what doesn't fit is read once more
		got, _, err := s.GetInfo(small, []byte(key))
		if err != nil || len(got) != n {
			t.Errorf("%s: %d bytes, %v, want %d", key, len(got), err, n)
		}
	}
}

// TestValueCompression: values are smaller on the disk and the same for everybody who reads them, now and in later lives.
func TestValueCompression(t *testing.T) {
	for _, c := range []ValueCompression{ValueCompressionLZ4, ValueCompressionZstd} {
		t.Run(c.String(), func(t *testing.T) {
			dir := t.TempDir()
			s := bitcaskStore(t, dir, Options{ValueCompression: c})
			total := 0
			for i, n := range sizes {
				key := []byte(fmt.Sprint("k", i))
				must(t, s.Set(key, compressible(99, n))) // to be merged away
				must(t, s.Write([]Op{{Key: key, Value: compressible(uint64(i), n)}, {Key: []byte("other"), Value: []byte("x")}}))
				total += n
			}
			wantValues(t, s)
			must(t, s.Expire([]byte("k4"), time.Now().Add(time.Hour)))
			must(t, s.Merge(context.Background()))
			wantValues(t, s)
			if live := s.DataFiles().LiveBytes; live > uint64(total)*3/4 {
				t.Errorf("%d bytes are live for values of %d", live, total)
			}
			st := s.Stats()
			if st.PackedValues < uint64(2*(len(sizes)-3)) || // the shortest stay as they are
				st.PackRawBytes <= st.PackStoredBytes || st.PackStoredBytes == 0 {
				t.Errorf("%d values packed, %d bytes became %d", st.PackedValues, st.PackRawBytes, st.PackStoredBytes)
			}
			must(t, s.Close())
			s = bitcaskStore(t, dir, Options{})
			wantValues(t, s)
			must(t, s.Close())
		})
	}
}
