package proto

import (
	"bytes"
	"io"
	"slices"
	"testing"
	"testing/iotest"
)

// FuzzDecodeRequests: any bytes, read whole or one at a time, give the same requests and errors, and never
// a panic. The seeds are the golden vectors.
func FuzzDecodeRequests(f *testing.F) {
	for _, v := range loadVectors(f).Requests {
		f.Add(v.bytes(f))
	}
	f.Fuzz(func(t *testing.T, b []byte) { checkStream(t, b, KindRequest) })
}

// FuzzDecodeReplies: the same for the client's side.
func FuzzDecodeReplies(f *testing.F) {
	for _, v := range loadVectors(f).Replies {
		f.Add(v.bytes(f))
	}
	f.Fuzz(func(t *testing.T, b []byte) { checkStream(t, b, KindReply) })
}

func checkStream(t *testing.T, b []byte, kind Kind) {
	t.Helper()
	whole := readAll(bytes.NewReader(b), kind)
	bytewise := readAll(iotest.OneByteReader(bytes.NewReader(b)), kind)
	if !slices.Equal(whole, bytewise) {
		t.Errorf("whole %q, byte by byte %q", whole, bytewise)
	}
}

// FuzzDecodeReplyBodies: what the Parse functions accept can be walked, and encodes to the same bytes.
func FuzzDecodeReplyBodies(f *testing.F) {
	f.Add(AppendValuesReply(nil, Meta{}, [][]byte{[]byte("a"), nil})[HeaderSize:], uint8(0))
	f.Add(AppendScanReply(nil, Meta{}, ScanMetadata, 5, []ScanEntry{{Key: []byte("k"), Size: 9}})[HeaderSize:],
		ScanMetadata)
	f.Add(AppendHelloReply(nil, Meta{}, HelloReply{Version: 1, Server: "nitrokv"})[HeaderSize:], uint8(0))
	f.Add(AppendOldValueReply(nil, Meta{}, OK, []byte("old"), true)[HeaderSize:], uint8(0))
	f.Fuzz(func(t *testing.T, body []byte, options uint8) {
		if s, err := ParseScanReply(body, options); err == nil {
			again := AppendScanReply(nil, Meta{}, options, s.Cursor, slices.Collect(s.All()))
			sameBody(t, again, body)
		}
		if v, err := ParseValues(body); err == nil {
			n := uint32(0)
			for range v.All() {
				n++
			}
			if n != v.Count {
				t.Errorf("%d values, %d announced", n, v.Count)
			}
		}
		if old, existed, err := ParseOldValue(body); err == nil {
			sameBody(t, AppendOldValueReply(nil, Meta{}, OK, old, existed), body)
		}
		if h, err := ParseHelloReply(body); err == nil {
			again := AppendHelloReply(nil, Meta{}, h)[HeaderSize:]
			if !bytes.HasPrefix(body, again) {
				t.Errorf("got %x, want a prefix of %x", again, body)
			}
		}
	})
}

func sameBody(t *testing.T, wire, body []byte) {
	t.Helper()
	m, err := NewReader(bytes.NewReader(wire), KindReply, Limits{}).Next()
	if err != nil && err != io.EOF || !bytes.Equal(m.Body, body) {
		t.Errorf("got %x (%v), want %x", m.Body, err, body)
	}
}
