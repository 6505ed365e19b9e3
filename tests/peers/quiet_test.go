package main

import (
	"errors"
	"strings"
	"testing"
)

func TestParseTicks(t *testing.T) {
	got, err := parseTicks("cpu  10 1 20 300 4 0 5 60 7 8\ncpu0 1 2 3 4 5 6 7 8 9 10\n")
	if want := (ticks{stolen: 60, all: 400}); err != nil || got != want {
		t.Errorf("parseTicks = %+v, %v; want %+v", got, err, want)
	}
	for _, bad := range []string{"", "intr 1 2 3 4 5 6 7 8 9", "cpu 1 2 3 4 5 6 7", "cpu 1 2 3 4 5 6 7 -8"} {
		if got, err := parseTicks(bad); err == nil {
			t.Errorf("parseTicks(%q) = %+v, want an error", bad, got)
		}
	}
}

// TestReadTicks: this machine's file is understood, and time goes on in it.
func TestReadTicks(t *testing.T) {
	if got, err := readTicks(); err != nil || got.all == 0 {
		t.Errorf("readTicks = %+v, %v", got, err)
	}
}

// stealing is a bench whose hypervisor takes these hundredths of the time of one measurement after the other.
func stealing(tries int, hundredths ...uint64) *bench {
	var now ticks
	look := 0
	return &bench{cfg: config{stealMax: 0.03, tries: tries}, ticks: func() (ticks, error) {
		if look%2 == 1 { // the look behind a measurement
			now.all += 100
			now.stolen += hundredths[look/2]
		}
		look++
		return now, nil
	}}
}

func TestDisturbedMeasurementsAreRepeated(t *testing.T) {
	tests := []struct {
		name   string
		tries  int
		stolen []uint64
		want   disturbances
		got    int // which measurement counts
	}{
		{"quiet", 3, []uint64{3}, disturbances{}, 1},
		{"disturbed at first", 3, []uint64{40, 4, 0}, disturbances{repeated: 2}, 3},
		{"disturbed each time", 2, []uint64{40, 50}, disturbances{repeated: 1, kept: 1}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, n := stealing(tt.tries, tt.stolen...), 0
			got, err := undisturbed(b, func() (int, error) { n++; return n, nil })
			if err != nil || got != tt.got || b.disturbed != tt.want {
				t.Errorf("undisturbed = %d, %v, %+v; want %d, %+v", got, err, b.disturbed, tt.got, tt.want)
			}
			if note := b.disturbed.note(0.03); (note == "") != (tt.want == disturbances{}) || note != "" && !strings.Contains(note, "3 %") {
				t.Errorf("note %q", note)
			}
		})
	}
}

// TestUndisturbedErrors: neither a measurement's error nor that of a look is hidden by another try.
func TestUndisturbedErrors(t *testing.T) {
	broken := errors.New("broken")
	b := stealing(3, 50, 50, 50)
	if _, err := undisturbed(b, func() (int, error) { return 0, broken }); !errors.Is(err, broken) {
		t.Errorf("an error of the measurement became %v", err)
	}
	b.ticks = func() (ticks, error) { return ticks{}, broken }
	if _, err := undisturbed(b, func() (int, error) { return 0, nil }); !errors.Is(err, broken) {
		t.Errorf("an error of the look became %v", err)
	}
}
