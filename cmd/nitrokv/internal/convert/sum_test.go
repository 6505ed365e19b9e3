package convert

import (
	"math"
	"strings"
	"testing"
	"time"
)

// A class has a first distance, and all up to the next one's; every distance has one.
func TestClasses(t *testing.T) {
	if last := classOf(math.MaxInt64); last != classes-1 {
		t.Errorf("the last class is %d, want %d", last, classes-1)
	}
	if classOf(-1) != 0 {
		t.Error("a distance before the beginning is not in the first class")
	}
	for i := range classes {
		from := classFrom(i)
		if classOf(from) != i || i > 0 && classOf(from-1) != i-1 {
			t.Fatalf("class %d begins at %d, which is in class %d, and what is before it in %d", i, from, classOf(from), classOf(from-1))
		}
		if i > 2<<classBits && float64(from-classFrom(i-1)) > float64(from)/(1<<classBits) {
			t.Fatalf("class %d is %d ms wide at %d", i-1, from-classFrom(i-1), from)
		}
	}
}

type entry struct {
	key, value string
	expire     time.Time
}

func sumOf(began int64, entries ...entry) *sum {
	s := newSum(began)
	for _, e := range entries {
		s.add([]byte(e.key), []byte(e.value), e.expire)
	}
	return s
}

func TestCompare(t *testing.T) {
	const began, now = int64(1_000_000), int64(1_010_000)
	soon, later := time.UnixMilli(began+9_000), time.UnixMilli(began+20_000)
	a, b := entry{"a", "1", time.Time{}}, entry{"b", "", later}
	gone := entry{"gone", "x", soon}
	origin := []entry{a, b, gone, {"", "empty key", time.Time{}}}
	for name, test := range map[string]struct {
		copied  []entry
		expired uint64
		differs bool
	}{
		"the same in another order": {[]entry{{"", "empty key", time.Time{}}, gone, b, a}, 0, false},
		"one has expired":           {[]entry{a, b, {"", "empty key", time.Time{}}}, 1, false},
		"one that stays is missing": {[]entry{b, gone, a}, 0, true},
		"one expires too early":     {[]entry{a, gone, {"", "empty key", time.Time{}}}, 0, true},
		"one too many":              {append([]entry{{"c", "", later}}, origin...), 0, true},
		"one too many, expired":     {append([]entry{{"c", "", soon}}, origin...), 0, true},
		"one comes twice":           {append([]entry{a}, origin...), 0, true},
		"another value":             {[]entry{{"a", "2", time.Time{}}, b, gone, {"", "empty key", time.Time{}}}, 0, true},
		"another expiry":            {[]entry{a, {"b", "", later.Add(time.Millisecond)}, gone, {"", "empty key", time.Time{}}}, 0, true},
		"an expiry is lost":         {[]entry{a, {"b", "", time.Time{}}, gone, {"", "empty key", time.Time{}}}, 0, true},
		"bytes move to the value":   {[]entry{a, b, gone, {"e", "mpty key", time.Time{}}}, 0, true},
	} {
		expired, err := compare(sumOf(began, origin...), sumOf(began, test.copied...), now)
		if (err != nil) != test.differs || expired != test.expired {
			t.Errorf("%s: %d expired, %v", name, expired, err)
		}
		if err != nil && !strings.Contains(err.Error(), "4 keys with content hash") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
