package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/nitrokv/nitrokv/proto"
)

var testNow = time.UnixMilli(1_800_000_000_123) // in 2027

// at is a time in milliseconds, as an entry has it.
func at(ms int64) time.Time { return time.UnixMilli(ms) }

func TestParseLine(t *testing.T) {
	for _, test := range []struct {
		line string
		want Entry
	}{
		{"k\tv", Entry{Key: "k", Value: []byte("v")}},
		{"k\tv\tw", Entry{Key: "k", Value: []byte("v\tw")}},
		{"k\t", Entry{Key: "k", Value: []byte{}}},
		{"\tv", Entry{Value: []byte("v")}},
		{"k\tv\r", Entry{Key: "k", Value: []byte("v\r")}},
		{`k` + "\t" + `a\tb\n`, Entry{Key: "k", Value: []byte(`a\tb\n`)}},
		{"\xff\x00\t\xfe", Entry{Key: "\xff\x00", Value: []byte("\xfe")}},
		{"{user}:1\tv", Entry{Key: "{user}:1", Value: []byte("v")}},
		{"{\tv", Entry{Key: "{", Value: []byte("v")}},
		{`{"key":"k","value":"v"}`, Entry{Key: "k", Value: []byte("v")}},
		{` { "value" : "v" , "key" : "k" } ` + "\r", Entry{Key: "k", Value: []byte("v")}},
		{`{"key":"","value":""}`, Entry{Value: []byte{}}},
		{`{"k\u0065y":"\u00e9\t\"\\\ud83d\ude00","value":"\ufffd é"}`, Entry{Key: "é\t\"\\😀", Value: []byte("\ufffd é")}},
		{`{"key_base64":"AP8=","value_base64":"Cg=="}`, Entry{Key: "\x00\xff", Value: []byte("\n")}},
		{`{"key":"k","value":"v","expires_at":"2030-01-31T12:00:00.250Z"}`, Entry{Key: "k", Value: []byte("v"), Expires: at(1896091200250)}},
		{`{"key":"k","value":"v","expires_at":"2030-01-31T14:00:00+02:00"}`, Entry{Key: "k", Value: []byte("v"), Expires: at(1896091200000)}},
		{`{"key":"k","value":"v","expires_at":1896091200250}`, Entry{Key: "k", Value: []byte("v"), Expires: at(1896091200250)}},
		{`{"key":"k","value":"v","expires_at":null}`, Entry{Key: "k", Value: []byte("v")}},
		{`{"key":"k","value":"v","ttl_ms":250}`, Entry{Key: "k", Value: []byte("v"), Expires: at(testNow.UnixMilli() + 250)}},
	} {
		got, err := ParseLine([]byte(test.line), Auto, testNow)
		if err != nil || !same(got, test.want) {
			t.Errorf("%q: %+v, %v; want %+v", test.line, got, err, test.want)
		}
	}
}

// same compares what a store would see.
func same(a, b Entry) bool {
	return a.Key == b.Key && string(a.Value) == string(b.Value) && a.Expires.UnixMilli() == b.Expires.UnixMilli() && a.Expires.IsZero() == b.Expires.IsZero()
}

func TestParseLineRefuses(t *testing.T) {
	for line, want := range map[string]string{
		"":                                         `no tab in ""`,
		"a line without":                           `no tab in "a line without"; write the key, a tab`,
		strings.Repeat("x", 100):                   `x"…; write the key`,
		`{"key":"k","value":"v"`:                   "not JSON: unexpected end of JSON input at byte 22",
		`{"key":"k","value":v}`:                    "not JSON: invalid character 'v' looking for beginning of value at byte 20",
		`{"key":"k","value":"v"} {}`:               "not JSON: invalid character '{' after top-level value",
		"{\"key\":\"k\",\"value\":\"a\tb\"}":       "not JSON: invalid character '\\t' in string literal",
		"{\"key\":\"\xff\",\"value\":\"v\"}":       "not valid UTF-8; write bytes",
		`{"key":"\ud800","value":"v"}`:             `\ud800 at byte 9 is half of a character`,
		`{"key":"k","value":"a\\\udc00"}`:          `\udc00 at byte 24 is half`,
		`{"key":"k","value":"\ud800\u0041"}`:       `\ud800 at byte 21 is half`,
		`{"key":"k","value":"\ud800\ud800\udc00"}`: `\ud800 at byte 21 is half`,
		`{}`:                                                            `no "key"; give`,
		`{"key":"k"}`:                                                   `no "value"; give`,
		`{"value":"v"}`:                                                 `no "key"; give`,
		`{"key":"k","value":5}`:                                         `"value": "5" is no text; put it in quotes`,
		`{"key":null,"value":"v"}`:                                      `"key": "null" is no text`,
		`{"key":"k","value":{"a":"b"}}`:                                 `"value": "{" is no text`,
		`{"key":["k"],"value":"v"}`:                                     `"key": "[" is no text`,
		`{"key":"k","key":"l","value":"v"}`:                             `"key" says again`,
		`{"key":"k","key_base64":"AA==","value":""}`:                    `"key_base64" says again`,
		`{"key":"k","Value":"v"}`:                                       `unknown name "Value"; use`,
		`{"key":"k","value_base64":"!"}`:                                `"value_base64": not base64`,
		`{"key":"k","value_base64":"AA"}`:                               `"value_base64": not base64`,
		`{"key":"k","value_base64":1}`:                                  `"value_base64": "1" is no text`,
		`{"key":"k","value":"v","expires_at":1896091200}`:               "are these seconds?",
		`{"key":"k","value":"v","expires_at":18960912002.5}`:            "is no time in milliseconds",
		`{"key":"k","value":"v","expires_at":"tomorrow"}`:               `"expires_at": "tomorrow" is no time`,
		`{"key":"k","value":"v","expires_at":"0001-01-01T00:00:00Z"}`:   `no time after 1970`,
		`{"key":"k","value":"v","expires_at":true}`:                     "is no time",
		`{"key":"k","value":"v","ttl_ms":0}`:                            `"ttl_ms": "0" is no time to live`,
		`{"key":"k","value":"v","ttl_ms":"5"}`:                          "is no time to live",
		`{"key":"k","value":"v","ttl_ms":9223372036854775807}`:          "is no time to live",
		`{"key":"k","value":"v","ttl_ms":5,"expires_at":1896091200250}`: `"expires_at" says again`,
	} {
		e, err := ParseLine([]byte(line), Auto, testNow)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v; want an error with %q", line, e, err, want)
		}
	}
	if _, err := ParseLine([]byte("k\tv"), JSON, testNow); err == nil || !strings.Contains(err.Error(), "not JSON") {
		t.Errorf("text read as JSON: %v", err)
	}
	if _, err := ParseLine([]byte(`"key"`), JSON, testNow); err == nil || !strings.Contains(err.Error(), "no object") {
		t.Errorf("a text alone: %v", err)
	}
	if e, err := ParseLine([]byte(`{"key":`+"\tv"), Text, testNow); err != nil || e.Key != `{"key":` {
		t.Errorf("JSON read as text: %+v, %v", e, err)
	}
}

// read returns what a file holds, an entry or an error a line.
func read(l *Lines) []string {
	var got []string
	for e, err := range l.Entries(context.Background()) {
		if err != nil {
			got = append(got, "! "+err.Error())
		} else {
			got = append(got, fmt.Sprintf("%s %s=%.10s(%d)", l.Place(&e), e.Key, e.Value, len(e.Value)))
		}
	}
	return got
}

// Lines keep their numbers whatever stands between them, and however the file is read.
func TestLines(t *testing.T) {
	long := strings.Repeat("x", 3*readSize)
	text := "a\t1\n\nb\t2\nnone\n\nlong\t" + long + "\n{\"key\":\"j\",\"value\":\"3\"}\nend\t4"
	want := []string{"f:1 a=1(1)", "f:3 b=2(1)", `! f:4: no tab in "none"; write the key, a tab and the value, or a JSON object such as {"key":"k","value":"v"}`,
		fmt.Sprintf("f:6 long=xxxxxxxxxx(%d)", len(long)), "f:7 j=3(1)", "f:8 end=4(1)"}
	for name, r := range map[string]io.Reader{
		"at once":         strings.NewReader(text),
		"byte by byte":    iotest.OneByteReader(strings.NewReader(text)),
		"EOF with data":   iotest.DataErrReader(strings.NewReader(text)),
		"with an end too": strings.NewReader(text + "\n"),
	} {
		l := NewLines(r, "f", int64(len(text)), Auto)
		if got := read(l); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		if done, total := l.Progress(); done < int64(len(text)) || total != int64(len(text)) {
			t.Errorf("%s: progress %d of %d, want %d", name, done, total, len(text))
		}
	}
}

// The mark that editors put in front of UTF-8 is no part of the first key; UTF-16 is refused at once.
func TestByteOrderMarks(t *testing.T) {
	for text, want := range map[string]string{
		"\ufeffa\t1\n\ufeffb\t2":                      "[f:1 a=1(1) f:2 \ufeffb=2(1)]",
		"\ufeff{\"key\":\"j\",\"value\":\"3\"}\nk\t4": "[f:1 j=3(1) f:2 k=4(1)]",
	} {
		if got := fmt.Sprint(read(NewLines(strings.NewReader(text), "f", 0, Auto))); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	for _, text := range []string{"\xff\xfea\x00\t\x001\x00", "\xfe\xff\x00a\x00\t\x001"} {
		for _, err := range NewLines(strings.NewReader(text), "f", 0, Auto).Entries(t.Context()) {
			if err == nil || !strings.Contains(err.Error(), "UTF-16") {
				t.Errorf("%q: %v, want an error about UTF-16", text, err)
			}
		}
	}
}

// A line without end is not kept in memory, and the next one is read.
func TestLineTooLong(t *testing.T) {
	l := NewLines(strings.NewReader("a\t1\nb\t"+strings.Repeat("x", 4<<20)+"\nc\t3\n"), "f", 0, Auto)
	l.max = 1 << 20
	got := read(l)
	if len(got) != 3 || !strings.HasPrefix(got[1], "! f:2: the line is longer than 1 MiB") || got[2] != "f:3 c=3(1)" {
		t.Errorf("got %q", got)
	}
	if cap(l.long) > 2<<20 {
		t.Errorf("%d bytes were kept", cap(l.long))
	}
}

// The longest lines that a dump can write may be read. Their length grows evenly with the value's, so a short one will do.
func TestLongestLine(t *testing.T) {
	const short, largest = 3000, 512 << 20
	for name, c := range map[string]string{"escapes": "\n", "base64": "\x00"} {
		e := Entry{Key: strings.Repeat(c, proto.KeyMax), Expires: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)}
		none := len(AppendJSON(nil, &e))
		e.Value = []byte(strings.Repeat(c, short))
		each := float64(len(AppendJSON(nil, &e))-none) / short
		if longest := none + int(each*largest); longest > NewLines(strings.NewReader(""), "f", 0, Auto).max {
			t.Errorf("%s: a line can have %d bytes, and %d may be read", name, longest, lineMax)
		}
	}
}

func TestReadError(t *testing.T) {
	broken := io.MultiReader(strings.NewReader("a\t1\nb\t2\nc"), iotest.ErrReader(errors.New("the disk is gone")))
	got := read(NewLines(broken, "f", 0, Auto))
	if len(got) != 3 || got[2] != "! read f after line 2: the disk is gone" {
		t.Errorf("got %q", got)
	}
}

// What ends the reading is not an error of the file.
func TestLinesEndWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	l := NewLines(strings.NewReader("a\t1\nb\t2\n"), "f", 0, Auto)
	n := 0
	for _, err := range l.Entries(ctx) {
		if n++; err != nil {
			t.Error(err)
		}
		cancel()
	}
	if n != 1 {
		t.Errorf("%d entries after the end", n-1)
	}
}
