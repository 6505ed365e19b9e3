package server

import "github.com/prometheus/client_golang/prometheus"

// metricPrefix begins the names of this server's metrics.
const metricPrefix = "nitrokv_"

// plainMetric is a metric without labels: a number that is taken from a look.
type plainMetric struct {
	name, help string
	kind       prometheus.ValueType
	value      func(*look) float64
	has        func(*look) bool // whether this server has it; nil: every server does
}

func counter(name, help string, n func(*look) uint64) plainMetric {
	return plainMetric{name, help, prometheus.CounterValue, func(l *look) float64 { return float64(n(l)) }, nil}
}

func gauge(name, help string, v func(*look) float64) plainMetric {
	return plainMetric{name, help, prometheus.GaugeValue, v, nil}
}

// gaugeOf is a gauge of a whole number.
func gaugeOf(name, help string, n func(*look) uint64) plainMetric {
	return gauge(name, help, func(l *look) float64 { return float64(n(l)) })
}

// onlyIf restricts metrics to servers that have what they are about.
func onlyIf(has func(*look) bool, list ...plainMetric) []plainMetric {
	for i := range list {
		list[i].has = has
	}
	return list
}

func concat(lists ...[]plainMetric) (all []plainMetric) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// plainMetrics in the order of docs/OPERATIONS.md.
var plainMetrics = concat(serverMetrics, keyMetrics,
	onlyIf(func(l *look) bool { return l.server.logged }, logMetrics...),
	onlyIf(func(l *look) bool { return l.server.hasFolder() }, loadMetrics...),
	onlyIf(func(l *look) bool { return l.recovery != nil }, recoveryMetrics...),
	onlyIf(func(l *look) bool { return l.recovery != nil && l.server.hasFolder() }, folderMetrics...),
	onlyIf(func(l *look) bool { return l.recovery != nil && l.server.hasFolder() && !l.server.hasDataFiles() }, memoryMetrics...),
	onlyIf(hasDataFiles, dataMetrics...), amplificationMetrics)

func hasDataFiles(l *look) bool { return l.recovery != nil && l.server.hasDataFiles() }

var serverMetrics = []plainMetric{
	gauge("ready", "1 if everything can be read and written: what /readyz says.",
		func(l *look) float64 { return truth(l.readiness.Status == statusReady) }),
	gauge("clients", "Open connections of the data port.", func(l *look) float64 { return float64(l.clients) }),
	gauge("clients_max", "Connections that may be open at once.",
		func(l *look) float64 { return float64(l.server.live.maxClients.Load()) }),
	counter("connections_accepted_total", "Connections that were accepted.", func(l *look) uint64 { return l.accepted }),
	counter("connections_rejected_total", "Connections that were turned away, because there were too many.", func(l *look) uint64 { return l.rejected }),
	counter("auth_failures_total", "Wrong users and passwords.", func(l *look) uint64 { return l.denied }),
	counter("received_bytes_total", "Bytes that clients have sent.", func(l *look) uint64 { return l.bytesIn }),
	counter("sent_bytes_total", "Bytes that were sent to clients.", func(l *look) uint64 { return l.bytesOut }),
	counter("slow_requests_total", "Requests that were put into the slow log.", func(l *look) uint64 { return l.tooSlow }),
}

var keyMetrics = []plainMetric{
	gaugeOf("keys", "Keys in the store.", func(l *look) uint64 { return l.Keys }),
	gaugeOf("keys_with_expiry", "Keys that expire.", func(l *look) uint64 { return l.KeysWithExpiry }),
	counter("expired_keys_total", "Keys that have expired.", func(l *look) uint64 { return l.Expired }),
	counter("hits_total", "Keys that were looked up and found.", func(l *look) uint64 { return l.Hits }),
	counter("misses_total", "Keys that were looked up and not found.", func(l *look) uint64 { return l.Misses }),
	counter("writes_total", "Keys that were set or changed.", func(l *look) uint64 { return l.Writes }),
	counter("deletes_total", "Keys that were deleted.", func(l *look) uint64 { return l.Deletes }),
	gaugeOf("used_memory_bytes", "Memory that counts against the limit.", func(l *look) uint64 { return l.UsedBytes }),
	gaugeOf("max_memory_bytes", "The limit; 0 for none.", func(l *look) uint64 { return l.MaxMemory }),
	gaugeOf("segments", "Separately locked parts of the store.", func(l *look) uint64 { return l.Segments }),
	gaugeOf("segments_siphash", "Segments that have changed to SipHash because somebody sent colliding keys.", func(l *look) uint64 { return l.SegmentsSipHash }),
	counter("hash_switches_total", "Changes of a segment's hash function.", func(l *look) uint64 { return l.HashSwitches }),
	counter("lock_busy_total", "Tries that found a segment locked.", func(l *look) uint64 { return l.LockBusy }),
}

var logMetrics = []plainMetric{
	gaugeOf("log_appended_lsn", "LSN of the newest record.", func(l *look) uint64 { return l.appended }),
	gaugeOf("log_written_lsn", "LSN up to which killing the process loses nothing.", func(l *look) uint64 { return l.written }),
	gaugeOf("log_durable_lsn", "LSN up to which a power cut loses nothing.", func(l *look) uint64 { return l.durable }),
	gaugeOf("log_lag_records", "Records that are not durable yet.", func(l *look) uint64 { return l.appended - min(l.durable, l.appended) }),
	counter("log_records_total", "Records appended.", func(l *look) uint64 { return l.LogRecords }),
	counter("log_frames_total", "Frames written: groups of records.", func(l *look) uint64 { return l.LogFrames }),
	counter("log_bytes_total", "Bytes written.", func(l *look) uint64 { return l.LogBytes }),
	counter("log_writes_total", "Calls that wrote.", func(l *look) uint64 { return l.LogWrites }),
	counter("log_syncs_total", "Calls that synced.", func(l *look) uint64 { return l.LogSyncs }),
	counter("reply_failures_total", "Replies that became errors, because the log failed while they waited.", func(l *look) uint64 { return l.lostWait }),
}

var loadMetrics = []plainMetric{
	gauge("recovery_in_progress", "1 while the data is being loaded.",
		func(l *look) float64 { return truth(l.server.load.busy.Load()) }),
	gaugeOf("recovery_done_bytes", "Bytes of snapshot and log that were read at the start.", func(l *look) uint64 { return l.server.load.done.Load() }),
	gaugeOf("recovery_size_bytes", "Bytes of snapshot and log that were there to be read.", func(l *look) uint64 { return l.server.load.total.Load() }),
}

var recoveryMetrics = []plainMetric{
	gauge("recovery_duration_seconds", "Time that loading the data took.", func(l *look) float64 { return l.recovery.Took.Seconds() }),
	gaugeOf("recovery_keys", "Keys after loading.", func(l *look) uint64 { return l.recovery.Keys }),
	gaugeOf("recovery_snapshot_keys", "Keys of the snapshot that was loaded; 0 if there was none.", func(l *look) uint64 { return l.recovery.SnapshotKeys }),
	gaugeOf("recovery_cut_bytes", "Bytes at the end of the log that had never been durable and were cut off.", func(l *look) uint64 { return l.recovery.CutBytes }),
	gauge("recovery_clean_stop", "1 if the stop before this start was clean.", func(l *look) float64 { return truth(l.recovery.Clean) }),
}

var folderMetrics = []plainMetric{
	gauge("snapshot_in_progress", "1 while a snapshot is being taken.", func(l *look) float64 { return truth(l.snapshots.Running) }),
	gauge("snapshot_last_timestamp_seconds", "When the newest snapshot was done; 0 if there is none.", func(l *look) float64 { return unixSeconds(l.snapshots.LastSave) }),
	gauge("snapshot_last_duration_seconds", "Time that the newest snapshot took; 0 if that is not known.", func(l *look) float64 { return l.snapshots.Took.Seconds() }),
	gauge("snapshot_last_success", "0 if the last try to take a snapshot failed.", func(l *look) float64 { return truth(l.snapshots.Err == nil) }),
	gaugeOf("snapshot_last_lsn", "LSN of the newest snapshot.", func(l *look) uint64 { return l.snapshots.Newest.LSN }),
	gaugeOf("snapshot_last_keys", "Keys in the newest snapshot.", func(l *look) uint64 { return l.snapshots.Newest.Keys }),
	gaugeOf("snapshot_last_bytes", "Size of the newest snapshot's file.", func(l *look) uint64 { return l.snapshots.Newest.Bytes }),
	gaugeOf("snapshot_changes", "Writes since the newest snapshot, or since the start.", func(l *look) uint64 { return l.snapshots.Changes }),
	counter("snapshot_completed_total", "Snapshots that were taken.", func(l *look) uint64 { return l.snapshots.OK }),
	counter("snapshot_failures_total", "Snapshots that failed.", func(l *look) uint64 { return l.snapshots.Failed }),

	gaugeOf("folder_log_files", "Files of the log in the data folder.", func(l *look) uint64 { return l.folder.LogFiles }),
	gaugeOf("folder_log_bytes", "Size of these files, room ahead included.", func(l *look) uint64 { return l.folder.LogBytes }),
	gaugeOf("folder_snapshots", "Snapshots in the data folder.", func(l *look) uint64 { return l.folder.Snapshots }),
	gaugeOf("folder_disk_bytes", "Blocks on the disk that the data folder takes, each file once; 0 if that can't be told.",
		func(l *look) uint64 { return l.disk }),
	gaugeOf("folder_snapshot_bytes", "Size of these.", func(l *look) uint64 { return l.folder.SnapshotBytes }),
}

// memoryMetrics are what mode memory alone has to say: in mode bitcask a start needs no snapshot, writers do nothing for one, and how
// far the past goes back is found by a restore.
var memoryMetrics = []plainMetric{
	counter("snapshot_emitted_total", "Entries that writers have saved for a snapshot before changing them.", func(l *look) uint64 { return l.SnapshotEmitted }),
	counter("snapshot_busy_total", "Writes that had to wait for room to do so.", func(l *look) uint64 { return l.SnapshotBusy }),
	gaugeOf("folder_replay_bytes", "Bytes of log that a start would have to replay.", func(l *look) uint64 { return l.folder.LogSince }),
	gaugeOf("restore_oldest_lsn", "The oldest point that can be restored; 0 is the empty store.", func(l *look) uint64 { return l.folder.OldestLSN }),
	gauge("restore_oldest_timestamp_seconds", "Its time; 0 for the empty store.", func(l *look) float64 { return unixSeconds(l.folder.OldestTime) }),
}

// dataMetrics are those of mode bitcask.
var dataMetrics = []plainMetric{
	gaugeOf("data_files", "Data files.", func(l *look) uint64 { return l.data.Files }),
	gaugeOf("data_merged_files", "Data files that merges have written.", func(l *look) uint64 { return l.data.MergedFiles }),
	gaugeOf("data_bytes", "Bytes in the data files.", func(l *look) uint64 { return l.data.Bytes }),
	gaugeOf("data_live_bytes", "Bytes of records that a key refers to.", func(l *look) uint64 { return l.data.LiveBytes }),
	gaugeOf("data_dead_bytes", "Bytes of records that no key refers to, deletes included: what merges work on.", func(l *look) uint64 { return l.data.dead() }),
	gaugeOf("data_tombstone_bytes", "Bytes of deletes and flushes.", func(l *look) uint64 { return l.data.GoneBytes }),
	gaugeOf("data_disk_left_bytes", "Bytes that the file system of the data folder has left.", func(l *look) uint64 { return l.data.DiskLeft }),
	gauge("data_disk_scarce", "1 while so little is left that anything dead is merged.", func(l *look) float64 { return truth(l.data.DiskScarce) }),
	gaugeOf("data_hints", "Data files that have a hint file.", func(l *look) uint64 { return l.data.Hints }),
	gaugeOf("data_hints_loaded", "Hint files that the start has used.", func(l *look) uint64 { return l.data.HintsLoaded }),
	gaugeOf("data_hints_rebuilt", "Data files that the start had to read, because their hint file was missing, stale or damaged.",
		func(l *look) uint64 { return l.data.HintsRebuilt }),
	gaugeOf("cache_bytes", "Bytes of values that are cached in memory, and of what stands beside them.", func(l *look) uint64 { return l.data.CacheBytes }),
	gaugeOf("cache_values", "Values that are cached in memory.", func(l *look) uint64 { return l.data.CacheValues }),
	counter("cache_hits_total", "Values that GET and MGET have found in the cache.", func(l *look) uint64 { return l.data.CacheHits }),
	counter("cache_misses_total", "Values that GET and MGET have not found in the cache, with a cache.", func(l *look) uint64 { return l.data.CacheMisses }),
	counter("cache_evictions_total", "Values that left the cache to make room.", func(l *look) uint64 { return l.data.CacheEvictions }),
	gaugeOf("data_damaged_files", "Data files with a damaged record.", func(l *look) uint64 { return l.data.DamagedFiles }),
	counter("data_damaged_reads_total", "Records that could not be read because they are damaged.", func(l *look) uint64 { return l.data.DamagedReads }),
	gauge("merge_in_progress", "1 while data files are being merged.", func(l *look) float64 { return truth(l.data.Merging) }),
	counter("merges_total", "Merges that were completed.", func(l *look) uint64 { return l.data.Merges }),
	counter("merge_read_bytes_total", "Bytes that merges have read.", func(l *look) uint64 { return l.data.MergeReadBytes }),
	counter("merge_written_bytes_total", "Bytes that merges have written.", func(l *look) uint64 { return l.data.MergeWrittenBytes }),
	counter("merge_dropped_bytes_total", "Bytes that merges have dropped.", func(l *look) uint64 { return l.data.MergeDroppedBytes }),
}

// amplificationMetrics are there when something was written.
var amplificationMetrics = []plainMetric{{
	name: "write_amplification_ratio", help: "Bytes written by requests and merges, for each byte written by requests, since the start.",
	kind: prometheus.GaugeValue,
	value: func(l *look) float64 {
		ratio, _ := l.data.amplification()
		return ratio
	},
	has: func(l *look) bool {
		_, known := l.data.amplification()
		return known && hasDataFiles(l)
	},
}}
