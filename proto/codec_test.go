package proto

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// Nothing is allocated by an encoder when the slice has room.
func TestAppendDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 1<<16)
	value, keys := make([]byte, 100), []string{"a", "b"}
	pairs := []KV{{Key: "a", Value: value}}
	full := Meta{ID: 9, Flags: FlagIntegrity | FlagVersion | FlagExpiry, Version: 1, Expiry: 1}
	cases := map[string]func(){
		"get":    func() { buf = AppendGet(buf[:0], Meta{ID: 1}, "key") },
		"set":    func() { buf = AppendSet(buf[:0], full, "key", value) },
		"chunks": func() { buf = AppendSet(buf[:0], Meta{FrameMax: 32}, "key", value) },
		"incr":   func() { buf = AppendIncr(buf[:0], Meta{}, "key", 1) },
		"setx":   func() { buf = AppendSetX(buf[:0], full, SetXVersion, "key", value) },
		"mget":   func() { buf = AppendMGet(buf[:0], Meta{}, keys) },
		"mset":   func() { buf = AppendMSet(buf[:0], Meta{}, pairs) },
		"msetx":  func() { buf = AppendMSetX(buf[:0], Meta{}, MSetXIfAbsent, pairs) },
		"range":  func() { buf = AppendGetRange(buf[:0], Meta{}, "key", 0, -1) },
		"float":  func() { buf = AppendIncrFloat(buf[:0], Meta{}, "key", "0.1") },
		"copy":   func() { buf = AppendCopy(buf[:0], Meta{}, CopyReplace, "a", "b") },
		"auth":   func() { buf = AppendAuth(buf[:0], Meta{}, Auth{Password: "p"}) },
		"scan":   func() { buf = AppendScan(buf[:0], Meta{}, Scan{Pattern: "*"}) },
		"int":    func() { buf = AppendInt64Reply(buf[:0], Meta{}, -1) },
		"reply":  func() { buf = AppendReply(buf[:0], Meta{}, OK, value) },
	}
	for name, f := range cases {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// Whoever prints a request for a log must not give the password away.
func TestAuthPrintsWithoutThePassword(t *testing.T) {
	m, err := NewReader(bytes.NewReader(AppendAuth(nil, Meta{}, Auth{User: "ada", Password: "s3cret"})), KindRequest, Limits{}).Next()
	if err != nil {
		t.Fatal(err)
	}
	r, err := ParseRequest(&m)
	if err != nil || r.Auth.Password != "s3cret" {
		t.Fatalf("%v, %v", r.Auth.Password, err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d"} {
		for _, value := range []any{r.Auth, &r.Auth, r} {
			if text := fmt.Sprintf(verb, value); strings.Contains(text, "s3cret") {
				t.Errorf("%s of a %T: %s", verb, value, text)
			}
		}
	}
}

func TestAppendKeyTooLongPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a key of 65,536 bytes was encoded")
		}
	}()
	AppendGet(nil, Meta{}, make([]byte, KeyMax+1))
}

// Every body and every frame limit must come back as it was, whatever the division.
func TestSplitAndJoinAtEveryLimit(t *testing.T) {
	body := []byte("0123456789abcdefghijklmnopqrstuvwxyz")
	for _, flags := range []Flags{0, FlagIntegrity, FlagIntegrity | FlagVersion | FlagExt} {
		for limit := uint32(1); limit < 70; limit++ {
			for n := range len(body) + 1 {
				m := Meta{ID: 7, Flags: flags, FrameMax: limit, Version: 3, Ext: AppendExt(nil, 5, false, []byte("x"))}
				if flags&FlagExt == 0 {
					m.Ext = nil
				}
				wire := AppendSet([]byte("before"), m, "k", body[:n])
				checkFrames(t, wire[6:], flags, limit)
				got := readAll(bytes.NewReader(wire[6:]), KindRequest)
				want := readAll(bytes.NewReader(AppendSet(nil, Meta{ID: 7, Flags: flags, Version: 3,
					Ext: m.Ext}, "k", body[:n])), KindRequest)
				if string(wire[:6]) != "before" || !slices.Equal(got, want) {
					t.Fatalf("flags %#x limit %d body %d: got %q, want %q", flags, limit, n, got, want)
				}
			}
		}
	}
}

// checkFrames demands that no frame is longer than the limit, unless it holds one byte of body only.
func checkFrames(t *testing.T, wire []byte, flags Flags, limit uint32) {
	t.Helper()
	blocks := uint32(blockBytes(wire))
	for len(wire) > 0 {
		h, err := ParseHeader(wire)
		if err != nil {
			t.Fatal(err)
		}
		if h.Length > max(limit, blocks+1) {
			t.Fatalf("flags %#x: a frame of %d bytes, limit %d", flags, h.Length, limit)
		}
		blocks = 8
		wire = wire[HeaderSize+int(h.Length):]
	}
}

func TestRoundTripBytes(t *testing.T) {
	key, value := strings.Repeat("k", 16), strings.Repeat("v", 100)
	ok := AppendReply(nil, Meta{}, OK, "")
	respGet := "*2\r\n$3\r\nGET\r\n$16\r\n" + key + "\r\n"
	respSet := "*3\r\n$3\r\nSET\r\n$16\r\n" + key + "\r\n$100\r\n" + value + "\r\n"
	get, set := AppendGet(nil, Meta{}, key), AppendSet(nil, Meta{}, key, value)
	rows := []struct {
		name                   string
		request, reply         int
		respRequest, respReply string
	}{
		{"GET", len(get), len(AppendReply(nil, Meta{}, OK, value)), respGet, "$100\r\n" + value + "\r\n"},
		{"SET", len(set), len(ok), respSet, "+OK\r\n"},
		{"SET, quiet", len(set), 0, respSet, "+OK\r\n"},
		{"GET, miss", len(get), len(AppendReply(nil, Meta{}, ENOTFOUND, "")), respGet, "$-1\r\n"},
	}
	spec, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		ours, resp := r.request+r.reply, len(r.respRequest)+len(r.respReply)
		if ours >= resp {
			t.Errorf("%s: %d bytes, RESP %d", r.name, ours, resp)
		}
		row := fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %d | %.0f %% |", r.name, r.request, r.reply, ours,
			len(r.respRequest), len(r.respReply), resp, 100*float64(resp-ours)/float64(resp))
		if !strings.Contains(string(spec), row) {
			t.Errorf("PROTOCOL.md lacks the row %s", row)
		}
	}
}

// The worked examples of PROTOCOL.md must be frames, every byte of them.
func TestSpecifiedExamplesDecode(t *testing.T) {
	spec, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(spec), "## 13. Worked examples")
	if !ok {
		t.Fatal("no section 13")
	}
	hexLine := regexp.MustCompile(`^ *((?:[0-9A-F]{2} +)*[0-9A-F]{2})(?:  |$)`)
	var requests, replies []byte
	reply := false
	for line := range strings.Lines(text) {
		m := hexLine.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			continue
		}
		b, err := hex.DecodeString(strings.ReplaceAll(m[1], " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(line, " ") {
			reply = b[0] == byte(KindReply)
		}
		if reply {
			replies = append(replies, b...)
		} else {
			requests = append(requests, b...)
		}
	}
	if got := readAll(bytes.NewReader(requests), KindRequest); len(got) != 6 || strings.Contains(fmt.Sprint(got), "fatal") {
		t.Errorf("requests: %q", got)
	}
	if got := readAll(bytes.NewReader(replies), KindReply); len(got) != 5 {
		t.Errorf("replies: %q", got)
	}
}

func TestReaderMemoryFollowsArrival(t *testing.T) {
	wire := Header{Kind: KindRequest, Code: uint8(OpSet), Length: LengthMax}.Append(nil)
	wire = append(wire, make([]byte, 1000)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		if _, err := NewReader(bytes.NewReader(wire), KindRequest, Limits{}).Next(); err != io.ErrUnexpectedEOF {
			t.Fatalf("got %v, want an unexpected EOF", err)
		}
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 100*4*readBuffer {
		t.Errorf("100 announcements of 16 MiB cost %d bytes", got)
	}
}

func TestReaderLimits(t *testing.T) {
	long := AppendEcho(nil, Meta{ID: 1}, make([]byte, 200))
	chunks := AppendEcho(nil, Meta{ID: 2, FrameMax: 50}, make([]byte, 200))
	cases := []struct {
		name   string
		wire   []byte
		limits Limits
		want   Status
	}{
		{"frame", long, Limits{Frame: 199}, ELIMIT},
		{"message", chunks, Limits{Message: 199}, EVALUESIZE},
	}
	for _, c := range cases {
		_, err := NewReader(bytes.NewReader(c.wire), KindRequest, c.limits).Next()
		var fe *FrameError
		if !errors.As(err, &fe) || fe.Status != c.want || !fe.Fatal {
			t.Errorf("%s: got %v, want a fatal %s", c.name, err, c.want.String())
		}
	}
	for _, wire := range [][]byte{long, chunks} {
		r := NewReader(bytes.NewReader(wire), KindRequest, Limits{Frame: 200, Message: 200})
		if m, err := r.Next(); err != nil || len(m.Body) != 200 {
			t.Errorf("within the limits: %d bytes, %v", len(m.Body), err)
		}
	}
}

// A large frame must not leave its buffer behind, nor lose what was read after it.
func TestReaderShrinks(t *testing.T) {
	wire := AppendEcho(nil, Meta{ID: 1}, make([]byte, 4<<20))
	wire = AppendNoop(wire, Meta{ID: 2})
	r := NewReader(bytes.NewReader(wire), KindRequest, Limits{})
	for want := uint16(1); want <= 2; want++ {
		if m, err := r.Next(); err != nil || m.ID != want {
			t.Fatalf("message %d: id %d, %v", want, m.ID, err)
		}
	}
	if len(r.buf) > keepBuffer {
		t.Errorf("the reader keeps %d bytes", len(r.buf))
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("end: %v", err)
	}
}

func TestReplyBodies(t *testing.T) {
	body := func(wire []byte) []byte { return wire[HeaderSize:] }
	hello := HelloReply{Version: 1, Features: 2, FrameMax: 3, KeyMax: 4, ValueMax: 5, PendingMax: 6,
		Connection: 7, Server: "nitrokv 0.1.0"}
	if got, err := ParseHelloReply(body(AppendHelloReply(nil, Meta{}, hello))); err != nil || got != hello {
		t.Errorf("hello: %+v, %v", got, err)
	}
	if n, err := ParseInt64(body(AppendInt64Reply(nil, Meta{}, -7))); err != nil || n != -7 {
		t.Errorf("i64: %d, %v", n, err)
	}
	if n, err := ParseUint32(body(AppendUint32Reply(nil, Meta{}, 7))); err != nil || n != 7 {
		t.Errorf("u32: %d, %v", n, err)
	}
	if ok, err := ParsePersist(body(AppendPersistReply(nil, Meta{}, true))); err != nil || !ok {
		t.Errorf("persist: %v, %v", ok, err)
	}
	old, had, err := ParseOldValue(body(AppendOldValueReply(nil, Meta{}, OK, []byte("old"), true)))
	if err != nil || !had || string(old) != "old" {
		t.Errorf("old value: %q, %v, %v", old, had, err)
	}
	checkValues(t, body(AppendValuesReply(nil, Meta{}, [][]byte{[]byte("a"), nil, {}})))
	for _, options := range []uint8{0, ScanMetadata} {
		e := ScanEntry{Key: []byte("k")}
		if options != 0 {
			e.Version, e.Expiry, e.Size = 1, 2, 3
		}
		s, err := ParseScanReply(body(AppendScanReply(nil, Meta{}, options, 99, []ScanEntry{e, e})), options)
		got := slices.Collect(s.All())
		if err != nil || s.Cursor != 99 || len(got) != 2 || fmt.Sprint(got[1]) != fmt.Sprint(e) {
			t.Errorf("scan %d: %+v, %v", options, got, err)
		}
	}
}

func checkValues(t *testing.T, body []byte) {
	t.Helper()
	v, err := ParseValues(body)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for s, b := range v.All() {
		got = append(got, fmt.Sprintf("%s %q", s.String(), b))
	}
	if want := []string{`OK "a"`, `ENOTFOUND ""`, `OK ""`}; !slices.Equal(got, want) {
		t.Errorf("values: %q, want %q", got, want)
	}
}

// No prefix of a list reply and no announced count beyond it may be taken for a whole one.
func TestReplyBodiesCutShort(t *testing.T) {
	values := AppendValuesReply(nil, Meta{}, [][]byte{[]byte("a"), []byte("b")})[HeaderSize:]
	page := AppendScanReply(nil, Meta{}, 0, 1, []ScanEntry{{Key: []byte("k")}})[HeaderSize:]
	hello := AppendHelloReply(nil, Meta{}, HelloReply{Server: "s"})[HeaderSize:]
	for i := range len(values) {
		if _, err := ParseValues(values[:i]); !errors.Is(err, EFRAME) {
			t.Errorf("values cut at %d: %v", i, err)
		}
	}
	for i := range len(page) {
		if _, err := ParseScanReply(page[:i], 0); !errors.Is(err, EFRAME) {
			t.Errorf("page cut at %d: %v", i, err)
		}
	}
	for i := range len(hello) {
		if _, err := ParseHelloReply(hello[:i]); !errors.Is(err, EFRAME) {
			t.Errorf("hello cut at %d: %v", i, err)
		}
	}
	if _, err := ParseHelloReply(append(hello, "later fields"...)); err != nil {
		t.Errorf("hello of a later version: %v", err)
	}
	values[0] = 0xFF
	if _, err := ParseValues(values); !errors.Is(err, EFRAME) {
		t.Errorf("a count that lies: %v", err)
	}
}
