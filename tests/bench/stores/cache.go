package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// cachedMax is the share of a folder's pages that may stay after they have been dropped: those that somebody has mapped,
// or is writing.
const cachedMax = 0.01

// eachFile calls a function with every regular file of a folder, opened for reading.
func eachFile(dir string, use func(f *os.File, info fs.FileInfo) error) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		info, err := f.Stat()
		if err == nil {
			err = use(f, info)
		}
		return errors.Join(err, f.Close())
	})
}

// dropCache writes a folder's files back and drops their pages from the page cache. An error says that they are still there.
func dropCache(dir string) error {
	err := eachFile(dir, func(f *os.File, _ fs.FileInfo) error {
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return fmt.Errorf("write back %s: %w", f.Name(), err)
		}
		if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
			return fmt.Errorf("drop the pages of %s: %w", f.Name(), err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	share, err := cachedShare(dir)
	if err == nil && share > cachedMax {
		err = fmt.Errorf("%.1f %% of the pages of %s are still in the page cache after dropping them", 100*share, dir)
	}
	return err
}

// onDisk is the size of a file without the space that is only set aside behind its data.
func onDisk(info fs.FileInfo) int64 {
	const sectorBytes = 512 // what st_blocks counts
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return min(info.Size(), st.Blocks*sectorBytes)
	}
	return info.Size()
}

// cachedShare is the share of a folder's pages that are in the page cache.
func cachedShare(dir string) (float64, error) {
	page := int64(os.Getpagesize())
	var cached, all int64
	err := eachFile(dir, func(f *os.File, info fs.FileInfo) error {
		var stat unix.Cachestat_t
		if err := unix.Cachestat(uint(f.Fd()), &unix.CachestatRange{Len: uint64(info.Size())}, &stat, 0); err != nil {
			return fmt.Errorf("count the cached pages of %s: %w", f.Name(), err)
		}
		cached += int64(stat.Cache)
		all += (onDisk(info) + page - 1) / page
		return nil
	})
	if err != nil || all == 0 {
		return 0, err
	}
	return float64(cached) / float64(all), nil
}
