package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of utime and stime in /proc/PID/stat: USER_HZ, which Linux fixes at 100 for user space.
const clockTick = 10 * time.Millisecond

// cpuTime returns the CPU time that a process has used so far, from /proc alone.
//
// The sum over /proc/PID/task/*/schedstat has a resolution of nanoseconds but forgets a thread that has ended;
// /proc/PID/stat forgets nothing but counts in hundredths of a second. So the first is taken unless the second shows
// that a thread's time is missing.
func cpuTime(pid int) (time.Duration, error) {
	fine, err := taskTime(pid)
	if err != nil {
		return 0, err
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	coarse, err := parseStat(stat)
	if err != nil {
		return 0, fmt.Errorf("/proc/%d/stat: %w", pid, err)
	}
	if coarse > fine+10*clockTick {
		return coarse, nil
	}
	return fine, nil
}

// taskTime sums the time on a CPU, the first field of schedstat, over a process's threads.
func taskTime(pid int) (time.Duration, error) {
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0, err
	}
	if len(paths) == 0 {
		return 0, fmt.Errorf("process %d has no threads in /proc: it has ended", pid)
	}
	var sum time.Duration
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a thread that ended after Glob
		}
		if err != nil {
			return 0, err
		}
		first, _, _ := bytes.Cut(text, []byte(" "))
		ns, err := strconv.ParseInt(string(first), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %q is not a number of nanoseconds", path, first)
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}

// parseStat returns utime + stime, fields 14 and 15 of /proc/PID/stat. The second field is the program's name in
// parentheses, which may hold anything, so counting starts after the last one.
func parseStat(stat []byte) (time.Duration, error) {
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, errors.New("no program name in parentheses")
	}
	fields := strings.Fields(string(stat[end+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("%d fields after the name, at least 13 expected", len(fields))
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return 0, err
	}
	return time.Duration(user+system) * clockTick, nil
}

// residentBytes returns VmRSS of a process. /proc/PID/statm may lag behind by pages that threads count privately;
// smaps_rollup walks the page tables and is exact.
func residentBytes(pid int) (int64, error) {
	path := fmt.Sprintf("/proc/%d/smaps_rollup", pid)
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return parseKiB(text, "Rss:", path)
}

// parseKiB finds "name  123 kB" in a file of /proc and returns bytes.
func parseKiB(text []byte, name, path string) (int64, error) {
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] == name && fields[2] == "kB" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				return 0, fmt.Errorf("%s: %s %q is not a number", path, name, fields[1])
			}
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("%s has no line %q", path, name)
}
