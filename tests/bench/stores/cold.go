package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	coldShare     = 50      // one key in so many is read at the most: few reads find what an earlier one has fetched
	dataFileBytes = 1 << 16 // smaller files hold no records to speak of
	cachedAtEnd   = "share cached at the end"
)

// coldOperations is how many reads one worker does at the most.
func (j job) coldOperations() int { return max(1, j.Keys/coldShare/j.Goroutines) }

// runCold measures random GETs of a store none of whose pages are cached.
func runCold(j job) (got metrics, err error) {
	workers := crew(newWorkload(j.ValueBytes), j.Goroutines, j.Seed)
	err = j.with(func(s store) error {
		got, err = j.measureCold(workers, func(w *worker, d *deadline) error {
			return w.getRandom(s, j.Keys, j.coldOperations(), d)
		})
		return err
	})
	return got, err
}

// measureCold drops the pages, measures, and looks how many have come back.
func (j job) measureCold(workers []*worker, do func(*worker, *deadline) error) (metrics, error) {
	if err := dropCache(j.Dir); err != nil {
		return nil, err
	}
	var d deadline
	defer d.after(j.Duration)()
	took, err := together(workers, func(w *worker) error { return do(w, &d) })
	if err != nil {
		return nil, err
	}
	share, err := cachedShare(j.Dir)
	return metrics{perSecond: float64(done(workers)) / took.Seconds(), cachedAtEnd: share}, err
}

// runPread measures what the disk and the kernel can do: preads of a record's size, at random offsets of the same files.
func runPread(j job) (got metrics, err error) {
	r, err := openRaw(j.Dir, j.Keys)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	workers := crew(newWorkload(j.ValueBytes), j.Goroutines, j.Seed)
	return j.measureCold(workers, func(w *worker, d *deadline) error {
		buf := make([]byte, r.record)
		for w.operations < j.coldOperations() && !d.over.Load() {
			if err := r.read(w.random, buf); err != nil {
				return err
			}
			w.operations++
		}
		return nil
	})
}

// A raw is the files of a folder, as so many bytes.
type raw struct {
	files  []*os.File
	ends   []int64 // of each file, the bytes up to its end: those of the files before it included
	record int64   // bytes of the folder per key
}

func openRaw(dir string, keys int) (*raw, error) {
	r := &raw{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.HasSuffix(path, strings.TrimPrefix(hintPattern, "*")) {
			return err
		}
		return r.add(path)
	})
	if err == nil && r.size() < int64(keys) {
		err = fmt.Errorf("%s has %d bytes of data for %d keys", dir, r.size(), keys)
	}
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	r.record = r.size() / int64(keys)
	return r, nil
}

// add opens a file and counts what of it is on the disk: space that is only set aside is not read from there.
func (r *raw) add(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	size := onDisk(info)
	if size < dataFileBytes {
		return f.Close()
	}
	r.files, r.ends = append(r.files, f), append(r.ends, r.size()+size)
	return nil
}

func (r *raw) size() int64 {
	if len(r.ends) == 0 {
		return 0
	}
	return r.ends[len(r.ends)-1]
}

// read reads one record's bytes from anywhere.
func (r *raw) read(random *rand.Rand, buf []byte) error {
	at := random.Int64N(r.size())
	from := int64(0)
	for i, end := range r.ends {
		if at < end {
			offset := max(0, min(at, end-int64(len(buf)))-from)
			if n, err := unix.Pread(int(r.files[i].Fd()), buf, offset); err != nil || n == 0 {
				return fmt.Errorf("pread of %d bytes at %d of %s gave %d: %w", len(buf), offset, r.files[i].Name(), n, err)
			}
			return nil
		}
		from = end
	}
	return fmt.Errorf("offset %d lies behind all files", at)
}

func (r *raw) close() error {
	var errs []error
	for _, f := range r.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
