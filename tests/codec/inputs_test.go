package codec

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/nitrokv/nitrokv/proto"
)

// vector is a request of proto/testdata/vectors.json.
type vector struct {
	name  string
	bytes []byte
	ends  bool // it loses the framing
}

func loadVectors(tb testing.TB) []vector {
	tb.Helper()
	text, err := os.ReadFile("../../proto/testdata/vectors.json")
	if err != nil {
		tb.Fatal(err)
	}
	var file struct {
		Requests []struct{ Name, Request, Run string }
	}
	if err := json.Unmarshal(text, &file); err != nil {
		tb.Fatal(err)
	}
	var all []vector
	for _, v := range file.Requests {
		b, err := hex.DecodeString(v.Request)
		if err != nil {
			tb.Fatalf("%s: %v", v.Name, err)
		}
		all = append(all, vector{v.Name, b, v.Run == "close"})
	}
	if len(all) < 100 {
		tb.Fatalf("only %d vectors", len(all))
	}
	return all
}

// row is all vectors that keep the framing, one behind the other.
func row(vectors []vector) (b []byte) {
	for _, v := range vectors {
		if !v.ends {
			b = append(b, v.bytes...)
		}
	}
	return b
}

// long are inputs at limits that take many bytes. They would only slow the fuzzer down.
func long(tb testing.TB) map[string][]byte {
	meta := proto.Meta{ID: 7}
	chunked := proto.Meta{ID: 7, FrameMax: 50_000}
	body := make([]byte, valueMax+proto.KeyMax+64<<10)
	keys := slices.Repeat([]string{"k"}, keysMax+1)
	return map[string][]byte{
		"all vectors in a row":       row(loadVectors(tb)),
		"value at the limit":         proto.AppendSet(nil, meta, "k", body[:valueMax]),
		"value beyond the limit":     proto.AppendSet(nil, meta, "k", body[:valueMax+1]),
		"value beyond it in a list":  proto.AppendMSet(nil, meta, []proto.KV{{Key: "k", Value: body[:valueMax+1]}}),
		"msetx beyond the limit":     proto.AppendMSetX(nil, meta, 0, []proto.KV{{Key: "k", Value: body[:valueMax+1]}}),
		"msetx with two faults":      proto.AppendMSetX(nil, meta, 0x80, []proto.KV{{Key: "k", Value: body[:valueMax+1]}}),
		"msetx of too many keys":     proto.AppendMSetX(nil, meta, 0x80, slices.Repeat([]proto.KV{{Key: "k"}}, keysMax+1)),
		"append beyond the limit":    append(proto.AppendSet(nil, meta, "k", body[:valueMax]), proto.AppendAppend(nil, meta, "k", "x")...),
		"append up to the limit":     append(proto.AppendSet(nil, meta, "k", body[1:valueMax]), proto.AppendAppend(nil, meta, "k", "x")...),
		"setrange up to the limit":   proto.AppendSetRange(nil, meta, "k", valueMax-1, "x"),
		"setrange beyond the limit":  proto.AppendSetRange(nil, meta, "k", valueMax, "x"),
		"copy of the longest key":    append(proto.AppendSet(nil, meta, "k", "v"), proto.AppendCopy(nil, meta, 0, "k", string(body[:proto.KeyMax]))...),
		"keys at the limit":          proto.AppendMGet(nil, meta, keys[1:]),
		"keys beyond the limit":      proto.AppendMGet(nil, meta, keys),
		"longest key":                proto.AppendSet(nil, meta, string(body[:proto.KeyMax]), "v"),
		"longest key in chunks":      proto.AppendSet(nil, chunked, string(body[:proto.KeyMax]), "v"),
		"echo beyond inline replies": proto.AppendEcho(nil, meta, body[:100_000]),
		"joined body at the limit":   proto.AppendEcho(nil, chunked, body),
		"joined body beyond it":      append(proto.AppendEcho(nil, chunked, append(body, 0)), 0xF5),
		"more requests than a chunk": bytes.Repeat(proto.AppendNoop(nil, meta), 1000),
	}
}
