package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
)

// BenchmarkRound is the path of requests through the engine without sockets: one chunk with a pipeline of GETs
// and SETs, half and half, per operation. Compare -cpu 1,2 for how it scales; ns/req is per request.
func BenchmarkRound(b *testing.B) {
	for _, pipeline := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("pipeline=%d", pipeline), func(b *testing.B) { benchmarkRound(b, pipeline, 100_000) })
	}
	b.Run("hot", func(b *testing.B) { benchmarkRound(b, 16, 1) })
}

func benchmarkRound(b *testing.B, pipeline, keys int) {
	s := openStore(b, Options{})
	value := strings.Repeat("v", 64)
	for i := range keys {
		must(b, s.Set(benchKey(uint32(i)), []byte(value)))
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		ss, err := s.NewSession(1)
		if err != nil {
			b.Error(err)
			return
		}
		defer ss.Close()
		rng := rand.New(rand.NewPCG(1, rand.Uint64()))
		in := make([]byte, 0, 64*200)
		for pb.Next() {
			in = in[:0]
			for i := range pipeline {
				key := benchKey(rng.Uint32N(uint32(keys)))
				if i%2 == 0 && keys > 1 {
					in = append(append(append(in, "*2\r\n$3\r\nGET\r\n$16\r\n"...), key...), "\r\n"...)
					continue
				}
				in = append(append(append(in, "*3\r\n$3\r\nSET\r\n$16\r\n"...), key...), "\r\n$64\r\n"...)
				in = append(append(in, value...), "\r\n"...)
			}
			benchRound(b, s, ss, in)
		}
	})
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*pipeline), "ns/req")
}

// benchKey has the size of a usual key: 16 bytes.
func benchKey(i uint32) []byte {
	key := [16]byte{'k', 'e', 'y', ':'}
	binary.BigEndian.PutUint32(key[12:], i)
	return key[:]
}

func benchRound(b *testing.B, s *Store, ss *Session, in []byte) {
	ch, err := s.Acquire()
	if err != nil {
		b.Fatal(err)
	}
	ch.Added(copy(ch.Space(), in))
	now := s.Now()
	if ch.Prepare(ss, now) != nil || ch.Execute(ss, now) != StopDone || bytes.IndexByte(ch.Out(), '-') == 0 {
		b.Fatal("wrong replies")
	}
	ch.ClearOut()
	ch.Compact()
	ch.Release()
}

// BenchmarkBitcaskSet is a direct write of 1 KiB that no sync is waited for; merges are left out.
func BenchmarkBitcaskSet(b *testing.B) {
	s := logStore(b, b.TempDir(), Options{Mode: ModeBitcask, Level: LevelNever, Merge: MergeOptions{Off: true}})
	value := bytes.Repeat([]byte("v"), 1024)
	var worker atomic.Uint32
	b.SetBytes(1024)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		first := worker.Add(1) << 24
		for i := first; pb.Next(); i++ {
			if err := s.Set(benchKey(i), value); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkBitcaskGet is a direct read of 1 KiB that lies in a data file, in the page cache; "cached" has a cache with
// room for all of them, and "memory" is the same in ModeMemory, for comparison.
func BenchmarkBitcaskGet(b *testing.B) {
	for _, mode := range []Mode{ModeBitcask, ModeMemory} {
		b.Run(mode.String(), func(b *testing.B) { benchmarkGet(b, Options{Mode: mode}) })
	}
	b.Run("cached", func(b *testing.B) { benchmarkGet(b, Options{Mode: ModeBitcask, CacheBytes: 1 << 30}) })
}

func benchmarkGet(b *testing.B, opt Options) {
	const keys = 100_000
	opt.Level = LevelNever
	s := logStore(b, b.TempDir(), opt)
	value := bytes.Repeat([]byte("v"), 1024)
	for i := range uint32(keys) {
		must(b, s.Set(benchKey(i), value))
	}
	must(b, s.Sync(b.Context()))
	for i := range uint32(keys) { // a value is cached when it has been read
		_, err := s.Get(value[:0], benchKey(i))
		must(b, err)
	}
	b.SetBytes(1024)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		rng := rand.New(rand.NewPCG(1, rand.Uint64()))
		buf := make([]byte, 0, 2048)
		for pb.Next() {
			if got, err := s.Get(buf, benchKey(rng.Uint32N(keys))); err != nil || len(got) != 1024 {
				b.Errorf("%d bytes, %v", len(got), err)
				return
			}
		}
	})
}
