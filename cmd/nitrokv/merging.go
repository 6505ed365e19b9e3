package main

import (
	"errors"
	"strings"
	"time"

	"github.com/nitrokv/nitrokv/engine"
)

// mergeConfig is what the options of "nitrokv serve" about merges of data files, in mode bitcask, set.
type mergeConfig struct {
	merge engine.MergeOptions
}

func (c *mergeConfig) options() []option {
	m := &c.merge
	return []option{
		{name: "merge", arg: "WHEN", def: "auto", set: mergeTo(&m.Off),
			help: "With --mode bitcask: auto merges data files of which enough is dead; off: only the command MERGE does"},
		{name: "merge-dead-percent", arg: "N", def: "50", set: intTo(&m.DeadPercent, 1, 100),
			help: "Merge a data file when so many percent of its bytes are dead"},
		{name: "merge-dead-bytes", arg: "SIZE", def: "off", set: offOr(sizeTo(&m.DeadBytes), &m.DeadBytes),
			help: "Merge a data file also when it holds so many dead bytes, whatever their share; off: that doesn't count"},
		{name: "merge-dead-age", arg: "DURATION", def: "off", set: offOr(durationTo(&m.DeadAge), &m.DeadAge),
			help: "Merge a data file also when anything in it is dead and it is so old, so that deleted data leaves the disk; off: that doesn't count"},
		{name: "merge-disk-left", arg: "N", def: "5", set: diskLeftTo(&m.DiskLeftPercent),
			help: "Merge a data file also when anything in it is dead and less than so many percent of the disk are left, or less than two data files; off: that doesn't count"},
		{name: "merge-window", arg: "HH:MM-HH:MM", def: "always", set: windowTo(&m.Window.From, &m.Window.To),
			help: "Hours of the local day in which merges may begin; always: at any time"},
		{name: "merge-rate", arg: "SIZE", def: "off", set: offOr(sizeTo(&m.BytesPerSecond), &m.BytesPerSecond),
			help: "The most that merges read and write in a second; off: no limit"},
	}
}

// names are those of its options.
func (c *mergeConfig) names() []string { return namesOf(c.options()) }

func mergeTo(off *bool) func(string) error {
	return func(text string) error {
		var word string
		if err := wordTo(&word, "auto", "off")(text); err != nil {
			return err
		}
		*off = word == "off"
		return nil
	}
}

// offOr stores 0 for the word off, and leaves other texts to set.
func offOr[T int64 | time.Duration](set func(string) error, dst *T) func(string) error {
	return func(text string) error {
		if strings.EqualFold(text, "off") {
			*dst = 0
			return nil
		}
		return set(text)
	}
}

// diskLeftTo stores a percentage, or what the word off stands for.
func diskLeftTo(dst *int) func(string) error {
	number := intTo(dst, 1, 100)
	return func(text string) error {
		if strings.EqualFold(text, "off") {
			*dst = engine.MergeDiskLeftOff
			return nil
		}
		return number(text)
	}
}

// windowTo stores the hours of a day, as times since midnight; both are 0 for always.
func windowTo(from, to *time.Duration) func(string) error {
	return func(text string) error {
		if strings.EqualFold(text, "always") {
			*from, *to = 0, 0
			return nil
		}
		begin, end, _ := strings.Cut(text, "-")
		a, errA := timeOfDay(begin)
		b, errB := timeOfDay(end)
		if errA != nil || errB != nil {
			return errors.New("not two times of a day; write for example 02:00-05:30, or always")
		}
		if a == b {
			return errors.New("begins when it ends; write always for the whole day, or turn merges off with --merge off")
		}
		*from, *to = a, b
		return nil
	}
}

// timeOfDay reads HH:MM. A day ends when the next one begins.
func timeOfDay(text string) (time.Duration, error) {
	if text == "24:00" {
		return 0, nil
	}
	at, err := time.Parse("15:04", text)
	if err != nil {
		return 0, err
	}
	return time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute, nil
}
