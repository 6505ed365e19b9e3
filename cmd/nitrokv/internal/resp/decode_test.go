package resp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

func TestValues(t *testing.T) {
	for _, test := range []struct {
		name, in string
		want     Value
	}{
		{"status", "+OK\r\n", Value{Kind: Status, Text: "OK"}},
		{"empty status", "+\r\n", Value{Kind: Status}},
		{"error", "-ERR no\r\n", Value{Kind: Error, Text: "ERR no"}},
		{"bulk error", "!6\r\nERR\r\nx\r\n", Value{Kind: Error, Text: "ERR\r\nx"}},
		{"integer", ":-9223372036854775808\r\n", Value{Kind: Int, Int: -1 << 63}},
		{"integer with a sign", ":+1\r\n", Value{Kind: Int, Int: 1}},
		{"string", "$3\r\na\r\n\r\n", Value{Kind: Bulk, Text: "a\r\n"}},
		{"empty string", "$0\r\n\r\n", Value{Kind: Bulk}},
		{"null string", "$-1\r\n", Value{Kind: Null}},
		{"null array", "*-1\r\n", Value{Kind: Null}},
		{"null", "_\r\n", Value{Kind: Null}},
		{"true", "#t\r\n", Value{Kind: Bool, Int: 1}},
		{"false", "#f\r\n", Value{Kind: Bool}},
		{"double", ",-1.5e-7\r\n", Value{Kind: Double, Text: "-1.5e-7"}},
		{"infinite", ",inf\r\n", Value{Kind: Double, Text: "inf"}},
		{"negative infinite", ",-inf\r\n", Value{Kind: Double, Text: "-inf"}},
		{"not a number", ",nan\r\n", Value{Kind: Double, Text: "nan"}},
		{"beyond doubles", ",1e999\r\n", Value{Kind: Double, Text: "1e999"}},
		{"big number", "(-123456789012345678901234567890\r\n", Value{Kind: BigNumber, Text: "-123456789012345678901234567890"}},
		{"verbatim", "=8\r\ntxt:a\r\nb\r\n", Value{Kind: Verbatim, Text: "a\r\nb"}},
		{"empty array", "*0\r\n", Value{Kind: Array, Elems: []Value{}}},
		{"array", "*2\r\n:1\r\n*1\r\n$-1\r\n", Value{Kind: Array, Elems: []Value{{Kind: Int, Int: 1}, {Kind: Array, Elems: []Value{{Kind: Null}}}}}},
		{"set", "~1\r\n+a\r\n", Value{Kind: Set, Elems: []Value{{Kind: Status, Text: "a"}}}},
		{"map", "%1\r\n+a\r\n:1\r\n", Value{Kind: Map, Elems: []Value{{Kind: Status, Text: "a"}, {Kind: Int, Int: 1}}}},
		{"push", ">1\r\n+a\r\n", Value{Kind: Push, Elems: []Value{{Kind: Status, Text: "a"}}}},
		{"attributes", "|1\r\n+ttl\r\n:1\r\n|0\r\n+OK\r\n", Value{Kind: Status, Text: "OK"}},
		{"attributes inside", "*1\r\n|1\r\n+k\r\n*0\r\n:2\r\n", Value{Kind: Array, Elems: []Value{{Kind: Int, Int: 2}}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(test.in), iotest.OneByteReader(strings.NewReader(test.in))} {
				d := newDecoder(r)
				if got, err := d.value(); err != nil || !reflect.DeepEqual(got, test.want) {
					t.Errorf("%q: %+v, %v; want %+v", test.in, got, err, test.want)
				}
				if v, err := d.value(); err != io.EOF {
					t.Errorf("%q is followed by %+v, %v", test.in, v, err)
				}
			}
		})
	}
}

// What is no reply is named, and never taken for one.
func TestMalformed(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"HTTP/1.1 400 Bad Request\r\n", "HTTP/1.1 400"},
		{"\r\n", "no reply"},
		{"\n", "no reply"},
		{"+OK\n", "no reply"},
		{":1.5\r\n", "integer"},
		{":\r\n", "integer"},
		{":9223372036854775808\r\n", "integer"},
		{"$x\r\n", "length"},
		{"$-2\r\n", "length"},
		{"~-1\r\n", "length"},
		{"%-1\r\n", "length"},
		{"=-1\r\n", "length"},
		{"$536870913\r\n", "length"},
		{"*2147483648\r\n", "length"},
		{"$1\r\nabc", "followed by"},
		{"=3\r\ntxt\r\n", "without a format"},
		{"=4\r\ntext\r\n", "without a format"},
		{"_x\r\n", "no reply"},
		{"#true\r\n", "no reply"},
		{",0x1p3\r\n", "no reply"},
		{",\r\n", "no reply"},
		{"(1.5\r\n", "no reply"},
		{"(-\r\n", "no reply"},
		{"(--1\r\n", "no reply"},
		{"*1\r\n>0\r\n", "push"},
		{strings.Repeat("*1\r\n", maxDepth+1), "deep"},
		{strings.Repeat("|1\r\n", maxDepth+1), "deep"},
		{"+" + strings.Repeat("a", maxLine), "65536"},
	} {
		v, err := newDecoder(strings.NewReader(test.in)).value()
		if !errors.As(err, new(*syntaxError)) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.60q: %+v, %v; want an error with %q", test.in, v, err, test.want)
		}
	}
}

// A stream may end anywhere; only between replies that is an end and not a cut.
func TestCut(t *testing.T) {
	const whole = "%1\r\n|1\r\n+k\r\n:1\r\n$2\r\nab\r\n*2\r\n_\r\n=5\r\ntxt:x\r\n"
	if _, err := newDecoder(strings.NewReader(whole)).value(); err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) {
		want := io.ErrUnexpectedEOF
		if n == 0 {
			want = io.EOF
		}
		if v, err := newDecoder(strings.NewReader(whole[:n])).value(); !errors.Is(err, want) {
			t.Errorf("%q: %+v, %v; want %v", whole[:n], v, err, want)
		}
	}
}

func TestNestedAsDeepAsAllowed(t *testing.T) {
	in := strings.Repeat("*1\r\n", maxDepth) + ":7\r\n"
	v, err := newDecoder(strings.NewReader(in)).value()
	for err == nil && v.Kind == Array {
		v = v.Elems[0]
	}
	if err != nil || v.Int != 7 {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestLargeString(t *testing.T) {
	long := strings.Repeat("0123456789", 100_000)
	v, err := newDecoder(strings.NewReader(fmt.Sprintf("$%d\r\n%s\r\n", len(long), long))).value()
	if err != nil || v.Text != long {
		t.Errorf("%d of %d bytes, %v", len(v.Text), len(long), err)
	}
}

// Announced lengths cost nothing before their bytes come.
func TestAnnouncedLengthsAreNotBelieved(t *testing.T) {
	for _, in := range []string{"$536870912\r\nabc", "*2147483647\r\n:1\r\n", "%2147483647\r\n", strings.Repeat("*2147483647\r\n", maxDepth)} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if v, err := newDecoder(strings.NewReader(in)).value(); err == nil {
			t.Errorf("%.30q: %+v", in, v)
		}
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 2<<20 {
			t.Errorf("%.30q costs %d bytes", in, grown)
		}
	}
}

// FuzzDecode: any bytes give values or an error; the same ones in whatever pieces they come; and what came is what a
// server would have written.
func FuzzDecode(f *testing.F) {
	f.Fuzz(func(t *testing.T, in []byte) {
		whole := decodeAll(strings.NewReader(string(in)))
		pieces := decodeAll(iotest.OneByteReader(strings.NewReader(string(in))))
		if !reflect.DeepEqual(whole, pieces) {
			t.Fatalf("%q at once: %+v, byte by byte: %+v", in, whole, pieces)
		}
		var again []byte
		for _, v := range whole {
			again = appendValue(again, v)
		}
		if back := decodeAll(strings.NewReader(string(again))); !reflect.DeepEqual(whole, back) {
			t.Fatalf("%q: %+v, written again %q: %+v", in, whole, again, back)
		}
	})
}

func decodeAll(r io.Reader) []Value {
	d := newDecoder(bufio.NewReader(r))
	var values []Value
	for {
		v, err := d.value()
		if err != nil {
			return values
		}
		values = append(values, v)
	}
}

// appendValue writes a value as a RESP3 server does.
func appendValue(b []byte, v Value) []byte {
	switch v.Kind {
	case Status, Double, BigNumber, Null:
		return fmt.Appendf(b, "%c%s\r\n", v.Kind, v.Text)
	case Error:
		return fmt.Appendf(b, "!%d\r\n%s\r\n", len(v.Text), v.Text)
	case Int:
		return fmt.Appendf(b, ":%d\r\n", v.Int)
	case Bool:
		return fmt.Appendf(b, "#%c\r\n", "ft"[v.Int])
	case Bulk:
		return fmt.Appendf(b, "$%d\r\n%s\r\n", len(v.Text), v.Text)
	case Verbatim:
		return fmt.Appendf(b, "=%d\r\ntxt:%s\r\n", len(v.Text)+4, v.Text)
	}
	n := len(v.Elems)
	if v.Kind == Map {
		n /= 2
	}
	b = fmt.Appendf(b, "%c%d\r\n", v.Kind, n)
	for _, e := range v.Elems {
		b = appendValue(b, e)
	}
	return b
}
