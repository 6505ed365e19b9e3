package proto

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

var update = flag.Bool("update", false, "rewrite testdata/vectors.txt from vectors.json")

// vector is one entry of testdata/vectors.json.
type vector struct {
	Name     string
	Note     string
	Request  string        // hex, in the list of requests
	Bytes    string        // hex, in the list of replies
	Decoded  []vectorField // the messages in it, in the order in which they are complete
	Error    *vectorError  // or what is wrong with it
	Run      string        // who can answer it: engine, server, close, codec
	Reply    string        // hex with ".." for any byte and "*" for any rest
	FrameMax uint32        `json:"frame_max"` // the encoder's limit that leads to these bytes
}

type vectorError struct {
	Status string
	ID     uint16
	Fatal  bool
}

// vectorField is a message in words.
type vectorField struct {
	Op, Status       string
	ID               uint16
	Flags            []string
	Version, LSN     uint64
	Expiry           int64
	Ext              string
	Key, Value, Body string
	To               string
	Delta            int64
	Start, End       int64
	Offset           uint32
	Options          uint8
	User, Password   string
	Keys             []string
	Pairs            [][2]string
	Min, Max         uint8
	Features, Count  uint32
	Client, Pattern  string
	Cursor           uint64
}

type vectorFile struct {
	Requests, Replies []vector
}

func loadVectors(t testing.TB) vectorFile {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	var f struct {
		About string
		vectorFile
	}
	if err := dec.Decode(&f); err != nil {
		t.Fatal(err)
	}
	if len(f.Requests) < 100 || len(f.Replies) < 10 {
		t.Fatalf("only %d and %d vectors", len(f.Requests), len(f.Replies))
	}
	return f.vectorFile
}

func (v *vector) bytes(t testing.TB) []byte {
	t.Helper()
	b, err := hex.DecodeString(v.Request + v.Bytes)
	if err != nil {
		t.Fatalf("%s: %v", v.Name, err)
	}
	return b
}

var flagNames = map[string]Flags{
	"INTEGRITY": FlagIntegrity, "EXT": FlagExt, "VERSION": FlagVersion, "EXPIRY": FlagExpiry,
	"QUIET": FlagQuiet, "LSN": FlagLSN,
	"NEVER": DurabilityNever, "EVERYSEC": DurabilityEverySec, "ALWAYS": DurabilityAlways,
}

func (d *vectorField) meta(t testing.TB, frameMax uint32) Meta {
	t.Helper()
	m := Meta{ID: d.ID, Version: d.Version, Expiry: d.Expiry, LSN: d.LSN, FrameMax: frameMax}
	for _, name := range d.Flags {
		bit, ok := flagNames[name]
		if !ok {
			t.Fatalf("unknown flag %q", name)
		}
		m.Flags |= bit
	}
	ext, err := hex.DecodeString(d.Ext)
	if err != nil {
		t.Fatal(err)
	}
	m.Ext = ext
	return m
}

// encode calls the Append function of the message's opcode or status.
func (d *vectorField) encode(t testing.TB, dst []byte, frameMax uint32) []byte {
	t.Helper()
	m := d.meta(t, frameMax)
	switch d.Op {
	case "":
		return AppendReply(dst, m, statusByName(t, d.Status), d.Body)
	case "NOOP":
		return AppendNoop(dst, m)
	case "HELLO":
		return AppendHello(dst, m, Hello{Min: d.Min, Max: d.Max, Features: d.Features, Name: d.Client})
	case "ECHO":
		return AppendEcho(dst, m, d.Value)
	case "STATS":
		return AppendStats(dst, m, d.Value)
	case "AUTH":
		return AppendAuth(dst, m, Auth{User: d.User, Password: d.Password})
	case "RANDOMKEY":
		return AppendRandomKey(dst, m)
	case "COUNT":
		return AppendCount(dst, m)
	case "FLUSH":
		return AppendFlush(dst, m)
	case "SYNC":
		return AppendSync(dst, m)
	case "SCAN":
		return AppendScan(dst, m, Scan{Cursor: d.Cursor, Count: d.Count, Options: d.Options,
			Pattern: d.Pattern})
	case "MGET":
		return AppendMGet(dst, m, d.Keys)
	case "MDELETE":
		return AppendMDelete(dst, m, d.Keys)
	case "MEXISTS":
		return AppendMExists(dst, m, d.Keys)
	case "MSET":
		return AppendMSet(dst, m, d.kvs())
	case "MSETX":
		return AppendMSetX(dst, m, d.Options, d.kvs())
	}
	return d.encodeKeyed(t, dst, m)
}

func (d *vectorField) encodeKeyed(t testing.TB, dst []byte, m Meta) []byte {
	t.Helper()
	switch d.Op {
	case "GET":
		return AppendGet(dst, m, d.Key)
	case "SET":
		return AppendSet(dst, m, d.Key, d.Value)
	case "DELETE":
		return AppendDelete(dst, m, d.Key)
	case "EXISTS":
		return AppendExists(dst, m, d.Key)
	case "INCR":
		return AppendIncr(dst, m, d.Key, d.Delta)
	case "EXPIRE":
		return AppendExpire(dst, m, d.Key, d.Expiry)
	case "TTL":
		return AppendTTL(dst, m, d.Key)
	case "PERSIST":
		return AppendPersist(dst, m, d.Key)
	case "MEMORY":
		return AppendMemory(dst, m, d.Key)
	case "GETX":
		return AppendGetX(dst, m, d.Options, d.Key)
	case "SETX":
		return AppendSetX(dst, m, d.Options, d.Key, d.Value)
	case "EXPIRETIME":
		return AppendExpireTime(dst, m, d.Key)
	}
	return d.encodeEdit(t, dst, m)
}

// encodeEdit is for the requests that change a part of a value, its expiry or its name.
func (d *vectorField) encodeEdit(t testing.TB, dst []byte, m Meta) []byte {
	t.Helper()
	switch d.Op {
	case "GETDEL":
		return AppendGetDel(dst, m, d.Key)
	case "GETEX":
		return AppendGetEx(dst, m, d.Options, d.Key)
	case "APPEND":
		return AppendAppend(dst, m, d.Key, d.Value)
	case "GETRANGE":
		return AppendGetRange(dst, m, d.Key, d.Start, d.End)
	case "SETRANGE":
		return AppendSetRange(dst, m, d.Key, d.Offset, d.Value)
	case "INCRFLOAT":
		return AppendIncrFloat(dst, m, d.Key, d.Value)
	case "EXPIREX":
		return AppendExpireX(dst, m, d.Options, d.Key, d.Expiry)
	case "RENAME":
		return AppendRename(dst, m, d.Options, d.Key, d.To)
	case "COPY":
		return AppendCopy(dst, m, d.Options, d.Key, d.To)
	}
	t.Fatalf("no encoder for %q", d.Op)
	return nil
}

func (d *vectorField) kvs() []KV {
	var kvs []KV
	for _, p := range d.Pairs {
		kvs = append(kvs, KV{Key: p[0], Value: []byte(p[1])})
	}
	return kvs
}

func statusByName(t testing.TB, name string) Status {
	t.Helper()
	for s, d := range statuses {
		if d.name == name {
			return s
		}
	}
	t.Fatalf("no status %q", name)
	return 0
}

// describe renders everything that a message says, so that two can be compared and printed.
func describe(m *Message) string {
	s := fmt.Sprintf("id=%d flags=%#02x version=%d expiry=%d lsn=%d ext=%x ", m.ID, m.Flags, m.Version,
		m.Expiry, m.LSN, m.Ext)
	if m.Kind == KindReply {
		return s + fmt.Sprintf("%s body=%q", m.Status().String(), m.Body)
	}
	r, err := ParseRequest(m)
	if err != nil {
		return describeError(err) // whatever else the frame says doesn't count
	}
	s += fmt.Sprintf("%v options=%d key=%q value=%q delta=%d count=%d hello=%+v scan=%+v", r.Op, r.Options,
		r.Key, r.Value, r.Delta, r.Count, r.Hello, r.Scan)
	s += describeRest(r.To, r.Start, r.End, r.Offset, r.Auth)
	if r.Op == OpMSet || r.Op == OpMSetX {
		for k, v := range r.Pairs() {
			s += fmt.Sprintf(" %q:%q", k, v)
		}
	} else {
		for k := range r.Keys() {
			s += fmt.Sprintf(" %q", k)
		}
	}
	return s
}

// describeRest renders what few opcodes have.
func describeRest[B Bytes](to B, start, end int64, offset uint32, a Auth) string {
	return fmt.Sprintf(" to=%q range=%d..%d offset=%d auth=%q/%q", to, start, end, offset, a.User, a.Password)
}

func describeError(err error) string {
	var fe *FrameError
	if errors.As(err, &fe) {
		return fmt.Sprintf("%s id=%d fatal=%v", fe.Status.String(), fe.ID, fe.Fatal)
	}
	return err.Error()
}

// expect renders a vector's messages in the same words, without using the decoder.
func (v *vector) expect(t testing.TB) []string {
	t.Helper()
	var out []string
	for i := range v.Decoded {
		d := &v.Decoded[i]
		m := d.meta(t, 0)
		s := fmt.Sprintf("id=%d flags=%#02x version=%d expiry=%d lsn=%d ext=%x ", m.ID, m.Flags, m.Version,
			m.Expiry, m.LSN, m.Ext)
		if d.Op == "" {
			out = append(out, s+fmt.Sprintf("%s body=%q", d.Status, d.Body))
			continue
		}
		out = append(out, s+d.expect())
	}
	if v.Error != nil {
		out = append(out, fmt.Sprintf("%s id=%d fatal=%v", v.Error.Status, v.Error.ID, v.Error.Fatal))
	}
	return out
}

func (d *vectorField) expect() string {
	scan := Scan{Cursor: d.Cursor, Count: d.Count, Options: d.Options, Pattern: d.Pattern}
	options := d.Options
	if d.Op == "SCAN" {
		options = 0 // they stand in scan
	} else {
		scan = Scan{}
	}
	hello := Hello{Min: d.Min, Max: d.Max, Features: d.Features, Name: d.Client}
	s := fmt.Sprintf("%s options=%d key=%q value=%q delta=%d count=%d hello=%+v scan=%+v", d.Op, options,
		d.Key, d.Value, d.Delta, len(d.Keys)+len(d.Pairs), hello, scan)
	s += describeRest(d.To, d.Start, d.End, d.Offset, Auth{User: d.User, Password: d.Password})
	for _, p := range d.Pairs {
		s += fmt.Sprintf(" %q:%q", p[0], p[1])
	}
	for _, k := range d.Keys {
		s += fmt.Sprintf(" %q", k)
	}
	return s
}

// readAll decodes a stream until its end or until the framing is lost.
func readAll(src io.Reader, kind Kind) []string {
	var out []string
	r := NewReader(src, kind, Limits{})
	for {
		m, err := r.Next()
		var fe *FrameError
		switch {
		case err == nil:
			out = append(out, describe(&m))
		case errors.Is(err, io.EOF):
			return out
		case errors.As(err, &fe) && !fe.Fatal:
			out = append(out, describeError(err))
		default:
			return append(out, describeError(err))
		}
	}
}

// allVectors runs f for the vectors of both lists.
func allVectors(t *testing.T, f func(t *testing.T, v *vector, kind Kind)) {
	t.Helper()
	file := loadVectors(t)
	for i := range file.Requests {
		t.Run(file.Requests[i].Name, func(t *testing.T) { f(t, &file.Requests[i], KindRequest) })
	}
	for i := range file.Replies {
		t.Run(file.Replies[i].Name, func(t *testing.T) { f(t, &file.Replies[i], KindReply) })
	}
}

func TestVectorsDecode(t *testing.T) {
	allVectors(t, func(t *testing.T, v *vector, kind Kind) {
		got := readAll(bytes.NewReader(v.bytes(t)), kind)
		if want := v.expect(t); !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	})
}

func TestVectorsSplitAtEveryByte(t *testing.T) {
	allVectors(t, func(t *testing.T, v *vector, kind Kind) {
		b, want := v.bytes(t), v.expect(t)
		for i := range len(b) + 1 {
			src := io.MultiReader(bytes.NewReader(b[:i]), bytes.NewReader(b[i:]))
			if got := readAll(src, kind); !slices.Equal(got, want) {
				t.Fatalf("split at %d: got  %q\nwant %q", i, got, want)
			}
		}
		if got := readAll(iotest.OneByteReader(bytes.NewReader(b)), kind); !slices.Equal(got, want) {
			t.Errorf("byte by byte: got  %q\nwant %q", got, want)
		}
	})
}

func TestVectorsEncode(t *testing.T) {
	encoded := map[string]bool{}
	allVectors(t, func(t *testing.T, v *vector, kind Kind) {
		b := v.bytes(t)
		if v.Error != nil || v.FrameMax == 0 && hasMore(b) || b[0] == byte(KindPush) {
			return // malformed, or divided in a way that no encoder chooses
		}
		var got []byte
		for i := range v.Decoded {
			got = v.Decoded[i].encode(t, got, v.FrameMax)
			encoded[v.Decoded[i].Op] = true
		}
		if !bytes.Equal(got, b) {
			t.Errorf("got  %x\nwant %x", got, b)
		}
	})
	for op, info := range ops {
		if !encoded[info.name] {
			t.Errorf("no vector encodes %v", op)
		}
	}
}

func hasMore(b []byte) bool {
	for len(b) >= HeaderSize {
		h, _ := ParseHeader(b)
		if h.Flags&FlagMore != 0 {
			return true
		}
		b = b[HeaderSize+int(h.Length):]
	}
	return false
}

// The replies in the list of requests must be frames themselves; masked bytes read as zero.
func TestVectorsRepliesAreFrames(t *testing.T) {
	file := loadVectors(t)
	names := map[string]bool{}
	for _, v := range file.Requests {
		if names[v.Name] {
			t.Errorf("two vectors are called %s", v.Name)
		}
		names[v.Name] = true
		if strings.Contains(v.Reply, "*") || v.Reply == "" {
			continue
		}
		b, err := hex.DecodeString(strings.ReplaceAll(v.Reply, "..", "01"))
		if err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		r := NewReader(bytes.NewReader(b), KindReply, Limits{})
		for err == nil {
			_, err = r.Next()
		}
		if err != io.EOF {
			t.Errorf("%s: the reply is malformed: %v", v.Name, err)
		}
	}
}

// vectors.txt holds the vectors that a C test without a host can run: "name request_hex reply_hex".
func TestVectorsText(t *testing.T) {
	var want bytes.Buffer
	for _, v := range loadVectors(t).Requests {
		if v.Run == "engine" {
			fmt.Fprintf(&want, "%s %s %s\n", v.Name, v.Request, v.Reply)
		}
	}
	const path = "testdata/vectors.txt"
	if *update {
		if err := os.WriteFile(path, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s does not match vectors.json: run go test ./proto -run Text -update", path)
	}
}
