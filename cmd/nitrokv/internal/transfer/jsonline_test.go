package transfer

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// The schema of a dump, byte by byte. A change here breaks files that people have.
func TestAppendJSON(t *testing.T) {
	for _, test := range []struct {
		entry Entry
		want  string
	}{
		{Entry{}, `{"key":"","value":""}`},
		{Entry{Key: "k", Value: []byte("v")}, `{"key":"k","value":"v"}`},
		{Entry{Key: `"\/<>&`, Value: []byte("a\tb\nc\r\n")}, `{"key":"\"\\/<>&","value":"a\tb\nc\r\n"}`},
		{Entry{Key: "é😀\u2028", Value: []byte("\ufffd")}, "{\"key\":\"é😀\u2028\",\"value\":\"\ufffd\"}"},
		{Entry{Key: "\x00", Value: []byte("\x7f")}, `{"key_base64":"AA==","value_base64":"fw=="}`},
		{Entry{Key: "k", Value: []byte("\u0085")}, `{"key":"k","value_base64":"woU="}`},
		{Entry{Key: "\xff", Value: []byte("\xed\xa0\x80")}, `{"key_base64":"/w==","value_base64":"7aCA"}`},
		{Entry{Key: "k", Value: []byte("v"), Expires: at(1896091200250)}, `{"key":"k","value":"v","expires_at":"2030-01-31T12:00:00.250Z"}`},
		{Entry{Key: "k", Value: []byte("v"), Expires: at(1896091200000)}, `{"key":"k","value":"v","expires_at":"2030-01-31T12:00:00.000Z"}`},
		{Entry{Key: "k", Value: []byte("v"), Expires: at(253402300799999)}, `{"key":"k","value":"v","expires_at":"9999-12-31T23:59:59.999Z"}`},
		{Entry{Key: "k", Value: []byte("v"), Expires: at(253402300800000)}, `{"key":"k","value":"v","expires_at":253402300800000}`},
	} {
		if got := string(AppendJSON(nil, &test.entry)); got != test.want+"\n" {
			t.Errorf("%+v: %q, want %q", test.entry, got, test.want)
		}
	}
}

// Every single byte, alone and in text, comes back.
func TestEveryByteComesBack(t *testing.T) {
	for b := range 256 {
		for _, key := range []string{string([]byte{byte(b)}), "a" + string([]byte{byte(b)}) + "é"} {
			comesBack(t, Entry{Key: key, Value: []byte(key + key)})
		}
	}
}

// comesBack demands that what is written is JSON in one line, and is read as it was.
func comesBack(t *testing.T, e Entry) {
	t.Helper()
	line := AppendJSON(nil, &e)
	if bytes.IndexByte(line, '\n') != len(line)-1 || !json.Valid(line) {
		t.Fatalf("%+v is written as %q", e, line)
	}
	got, err := ParseLine(bytes.TrimSuffix(line, []byte("\n")), Auto, time.Time{})
	if err != nil || !same(got, e) {
		t.Fatalf("%+v is written as %q and read as %+v, %v", e, line, got, err)
	}
}

func FuzzEntryComesBack(f *testing.F) {
	f.Add("k", []byte("v"), int64(0))
	f.Add("\x00\xff", []byte("é\ufffd\u2028\"\\"), int64(1896091200250))
	f.Add("", []byte{}, int64(1<<63-1))
	f.Fuzz(func(t *testing.T, key string, value []byte, ms int64) {
		e := Entry{Key: key, Value: value}
		if ms >= firstMilli {
			e.Expires = at(ms)
		}
		comesBack(t, e)
	})
}

// What is accepted is what encoding/json reads too, but for what it would change without a word.
func FuzzParseJSON(f *testing.F) {
	for _, seed := range []string{
		`{"key":"k","value":"v"}`, `{"key_base64":"AP8=","value_base64":"","ttl_ms":5}`, `{"key":"\ud83d\ude00","value":"\ud800"}`,
		`{"value":"\\\"","key":"","expires_at":null}`, `{"key":"k","value":[]}`, `{`, `{"key":"k","value":"v","expires_at":"2030-01-31T12:00:00Z"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		got, err := ParseLine(line, JSON, testNow)
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" {
				t.Error("an error that says nothing")
			}
			return
		}
		var want struct {
			Key         *string
			KeyBase64   []byte `json:"key_base64"`
			Value       *string
			ValueBase64 []byte `json:"value_base64"`
		}
		if err := json.Unmarshal(line, &want); err != nil {
			t.Fatalf("%q is accepted, and encoding/json says %v", line, err)
		}
		key, value := string(want.KeyBase64), string(want.ValueBase64)
		if want.Key != nil {
			key = *want.Key
		}
		if want.Value != nil {
			value = *want.Value
		}
		if got.Key != key || string(got.Value) != value {
			t.Errorf("%q: %+v; encoding/json reads %q and %q", line, got, key, value)
		}
	})
}
