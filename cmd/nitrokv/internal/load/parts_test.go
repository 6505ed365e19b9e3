package load

import (
	"bytes"
	"compress/flate"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/proto"
)

func TestHistogramBucketsFitTogether(t *testing.T) {
	for i := range histBuckets - 1 {
		top := bucketTop(i)
		if bucketOf(top) != i || bucketOf(top+1) != i+1 {
			t.Fatalf("bucket %d ends at %d, which is in %d, and the next is in %d", i, top, bucketOf(top), bucketOf(top+1))
		}
	}
	if bucketOf(math.MaxUint64) != histBuckets-1 {
		t.Error("the largest duration has no bucket")
	}
}

func TestQuantiles(t *testing.T) {
	var h, other histogram
	if h.quantile(0.5) != 0 || h.mean() != 0 {
		t.Error("an empty histogram has no latency")
	}
	for i := 1; i <= 5000; i++ {
		h.record(time.Duration(i)*time.Microsecond, 1)
		other.record(time.Duration(5000+i)*time.Microsecond, 1)
	}
	h.add(&other)
	for q, want := range map[float64]float64{0.001: 10, 0.5: 5000, 0.9: 9000, 0.99: 9900, 0.9999: 9999, 1: 10000} {
		got := float64(h.quantile(q)) / 1e3
		if got < want || got > want*1.008 {
			t.Errorf("quantile %g is %g µs, want %g to 0.8 %% more", q, got, want)
		}
	}
	if h.max != 10*time.Millisecond || h.mean() != 5000500*time.Nanosecond {
		t.Errorf("max %v, mean %v", h.max, h.mean())
	}
}

// The exact probability of a rank is known; each of the first is met within five standard deviations.
func TestZipfFollowsItsFormula(t *testing.T) {
	const n, theta, draws = 1000, 0.9, 400000
	z := newZipf(n, theta)
	r := rng{1}
	counts := make([]int, n)
	for range draws {
		counts[z.rank(&r)]++
	}
	total := zeta(n, theta)
	for _, rank := range []int{0, 1} { // from rank 2 on the method is an approximation
		p := math.Pow(float64(rank+1), -theta) / total
		if dev := math.Abs(float64(counts[rank])-draws*p) / math.Sqrt(draws*p); dev > 5 {
			t.Errorf("rank %d was drawn %d times, want about %.0f", rank, counts[rank], draws*p)
		}
	}
	head := 0
	for _, c := range counts[:100] {
		head += c
	}
	if want := zeta(100, theta) / total; math.Abs(float64(head)/draws-want) > 0.02 {
		t.Errorf("the first 100 ranks have a share of %.3f, want %.3f", float64(head)/draws, want)
	}
}

func TestZipfScattersOneToOne(t *testing.T) {
	for _, n := range []uint64{1, 2, 3, 1000, 4096} {
		z := newZipf(n, 0.99)
		r := rng{2}
		for range 1000 {
			if k := z.pick(&r); k >= n {
				t.Fatalf("key %d of %d", k, n)
			}
		}
	}
	if got, want := zeta(2_000_000, 0.99), zetaExactly(2_000_000, 0.99); math.Abs(got/want-1) > 1e-9 {
		t.Errorf("zeta is %v, want %v", got, want)
	}
}

func zetaExactly(n int, theta float64) float64 {
	sum := 0.0
	for i := n; i >= 1; i-- {
		sum += math.Pow(float64(i), -theta)
	}
	return sum
}

func TestPutKey(t *testing.T) {
	for _, key := range []uint64{0, 9, 10, 123456, 999999999999} {
		b := []byte("key:" + keyZero)
		putKey(b, key)
		if want := fmt.Sprintf("key:%012d", key); string(b) != want {
			t.Errorf("got %s, want %s", b, want)
		}
	}
}

// The templates must make what package proto makes.
func TestBinaryWire(t *testing.T) {
	for level, flags := range durabilityFlags {
		w := newBinaryWire(flags, "key:")
		for _, size := range []int{0, 1, 64, 300, 70000} {
			value := bytes.Repeat([]byte{7}, size)
			got := w.appendSet(w.appendGet(nil, 0x1234, 56), 0xABCD, 123456789012, value)
			want := proto.AppendGet(nil, proto.Meta{ID: 0x1234, Flags: flags}, "key:000000000056")
			want = proto.AppendSet(want, proto.Meta{ID: 0xABCD, Flags: flags}, "key:123456789012", value)
			if !bytes.Equal(got, want) {
				t.Fatalf("level %q, value of %d bytes: got % x, want % x", level, size, got, want)
			}
		}
	}
}

func TestRESPWire(t *testing.T) {
	w := newRESPWire("key:")
	got := w.appendSet(w.appendGet(nil, 1, 56), 2, 123456789012, []byte("ab\r\n"))
	want := "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000056\r\n*3\r\n$3\r\nSET\r\n$16\r\nkey:123456789012\r\n$4\r\nab\r\n\r\n"
	if string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Every reply, cut off at every byte, is incomplete, and says truthfully how much it needs.
func TestRepliesSplitAnywhere(t *testing.T) {
	frame := func(s proto.Status, body string) string {
		return string(proto.Header{Kind: proto.KindReply, Code: uint8(s), ID: 5, Length: uint32(len(body))}.Append(nil)) + body
	}
	more := proto.Header{Kind: proto.KindReply, ID: 5, Flags: proto.FlagMore, Length: 2}.Append(nil)
	for _, test := range []struct {
		wire wire
		text string
		kind kind
		body string
	}{
		{newRESPWire("key:"), "+OK\r\n", kindStored, "OK"},
		{newRESPWire("key:"), "$5\r\nab\r\nc\r\n", kindValue, "ab\r\nc"},
		{newRESPWire("key:"), "$0\r\n\r\n", kindValue, ""},
		{newRESPWire("key:"), "$-1\r\n", kindMiss, ""},
		{newRESPWire("key:"), "_\r\n", kindMiss, ""},
		{newRESPWire("key:"), "-ERR no\r\n", kindError, "ERR no"},
		{newBinaryWire(0, "key:"), frame(proto.OK, ""), kindStored, ""},
		{newBinaryWire(0, "key:"), frame(proto.OK, "abc"), kindValue, "abc"},
		{newBinaryWire(0, "key:"), frame(proto.ENOTFOUND, ""), kindMiss, ""},
		{newBinaryWire(0, "key:"), frame(proto.ENOMEM, "no"), kindError, "no"},
		{newBinaryWire(0, "key:"), string(more) + "ab", kindPart, "ab"},
	} {
		for n := range len(test.text) {
			r := test.wire.parse([]byte(test.text[:n]))
			if r.size != 0 || r.need <= n || r.need > len(test.text) {
				t.Errorf("%q cut at %d: size %d, need %d", test.text, n, r.size, r.need)
			}
		}
		r := test.wire.parse([]byte(test.text + "$9"))
		if r.size != len(test.text) || r.kind != test.kind || (test.kind != kindMiss && string(r.body) != test.body) {
			t.Errorf("%q: size %d, kind %d, body %q", test.text, r.size, r.kind, r.body)
		}
	}
}

func TestGarbageIsNoReply(t *testing.T) {
	for _, text := range []string{"HTTP/1.1 400\r\n", "*1\r\n$1\r\na\r\n", ":5\r\n", "+PONG\r\n", "$x\r\nab", "$-2\r\n", "$3\r\nabcde", "$99999999999\r\n"} {
		if r := newRESPWire("key:").parse([]byte(text)); r.kind != kindGarbage {
			t.Errorf("%q is taken for a reply of kind %d", text, r.kind)
		}
	}
	for _, text := range []string{"-ERR unknown\r\n", "\xF6\x00\x00\x00\x04\x00\x00\x00", "\xF5\x00\x00\x00\x00\x00\x00\x00"} {
		if r := newBinaryWire(0, "key:").parse([]byte(text)); r.kind != kindGarbage {
			t.Errorf("%q is taken for a reply of kind %d", text, r.kind)
		}
	}
	if r := newRESPWire("key:").parse(bytes.Repeat([]byte{'-'}, lineMax+1)); r.kind != kindGarbage {
		t.Error("a line without an end makes the buffer grow for ever")
	}
}

func TestValuesDoNotCompress(t *testing.T) {
	c := Config{ValueMin: 64, ValueMax: 64, Seed: 3}
	v, r := newValues(&c), rng{1}
	var plain, packed bytes.Buffer
	for range 1000 {
		plain.Write(v.random(&r))
	}
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if packed.Len() < plain.Len()*97/100 { // values are cut from one pool and may overlap a little
		t.Errorf("%d bytes of values compress to %d", plain.Len(), packed.Len())
	}
}

func TestValueSizesCoverTheirRange(t *testing.T) {
	c := Config{ValueMin: 10, ValueMax: 14}
	v, r := newValues(&c), rng{1}
	seen := make(map[int]bool)
	for range 1000 {
		seen[len(v.random(&r))] = true
	}
	if len(seen) != 5 || !seen[10] || !seen[14] {
		t.Errorf("sizes %v, want 10 to 14", seen)
	}
}

func TestCheckedValues(t *testing.T) {
	c := Config{ValueMin: 8, ValueMax: 50, Seed: 3, Verify: true}
	v := newValues(&c)
	value := bytes.Clone(v.checked(7, 2))
	for name, test := range map[string]struct {
		key   uint64
		want  uint32
		value []byte
		good  bool
	}{
		"any version":     {7, 0, value, true},
		"this version":    {7, 2, value, true},
		"another version": {7, 3, value, false},
		"another key":     {8, 2, value, false},
		"too short":       {7, 2, value[:7], false},
		"version 0":       {7, 0, make([]byte, 8), false},
		"a longer one":    {7, 2, append(bytes.Clone(value), 0), false},
	} {
		if wrong := v.check(test.key, test.want, test.value); (wrong == "") != test.good {
			t.Errorf("%s: %q", name, wrong)
		}
	}
}
