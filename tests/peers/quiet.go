package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// On a virtual machine the hypervisor may give the processors to somebody else. It tells how long they were ready to run
// and did not: the "steal" of /proc/stat. A measurement that lost more than a small share of the time that way says more
// about the neighbours than about the servers, whichever of them it is, so it is made again at once.

// ticks are what all processors together have spent since the machine started, in the units of /proc/stat.
type ticks struct{ stolen, all uint64 }

// readTicks reads them.
func readTicks() (ticks, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return ticks{}, err
	}
	return parseTicks(string(text))
}

// parseTicks reads the first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal. What follows are the
// guests' shares, which the first two contain.
func parseTicks(text string) (ticks, error) {
	const kinds, steal = 8, 7
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 1+kinds || fields[0] != "cpu" {
		return ticks{}, fmt.Errorf("/proc/stat begins with %q, not with the times of all processors", line)
	}
	var t ticks
	for i, field := range fields[1 : 1+kinds] {
		n, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			return ticks{}, fmt.Errorf("/proc/stat: %w", err)
		}
		t.all += n
		if i == steal {
			t.stolen = n
		}
	}
	return t, nil
}

// stolenSince is the share of the processors' time that was taken from them since an earlier look.
func (t ticks) stolenSince(earlier ticks) float64 {
	if t.all <= earlier.all {
		return 0
	}
	return float64(t.stolen-earlier.stolen) / float64(t.all-earlier.all)
}

// disturbances counts measurements from which too much was stolen.
type disturbances struct {
	repeated int // made again
	kept     int // disturbed each time, and counted all the same
}

// note says in a row's report what became of them; "" if there were none.
func (d disturbances) note(most float64) string {
	switch {
	case d.repeated == 0 && d.kept == 0:
		return ""
	case d.kept == 0:
		return fmt.Sprintf("%d measurements were made again because the hypervisor took more than %.0f %% of the processors' time",
			d.repeated, 100*most)
	default:
		return fmt.Sprintf("the hypervisor took more than %.0f %% of the processors' time: %d measurements were made again, %d count although"+
			" they were disturbed each time", 100*most, d.repeated, d.kept)
	}
}

// undisturbed makes a measurement, again and again while the hypervisor disturbs it, but not for ever.
func undisturbed[T any](b *bench, measure func() (T, error)) (T, error) {
	for try := 1; ; try++ {
		before, err := b.ticks()
		if err != nil {
			return *new(T), err
		}
		got, err := measure()
		if err != nil {
			return got, err
		}
		after, err := b.ticks()
		if err != nil {
			return got, err
		}
		switch {
		case after.stolenSince(before) <= b.cfg.stealMax:
			return got, nil
		case try == b.cfg.tries:
			b.disturbed.kept++
			return got, nil
		}
		b.disturbed.repeated++
	}
}
