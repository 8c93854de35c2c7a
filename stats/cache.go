package stats

// Cache is one session cache as uWSGI's stats server shows it, under the same names. A struct that
// embeds it shows its own fields as well.
type Cache struct {
	Name           string `json:"name" label:"cache"`
	Hash           string `json:"hash,omitempty"`
	KeySize        int    `json:"keysize"` // bytes
	MaxItems       int    `json:"max_items" metric:"gauge" help:"Sessions that the cache can hold."`
	Blocks         int    `json:"blocks"`
	BlockSize      int    `json:"blocksize"` // bytes
	Items          int    `json:"items" metric:"gauge" help:"Sessions in the cache now."`
	Hits           uint64 `json:"hits" metric:"counter" help:"Lookups that found their session."`
	Miss           uint64 `json:"miss" metric:"counter" help:"Lookups that found no session."`
	Full           uint64 `json:"full" metric:"counter" help:"Sessions that met a full cache."`
	LastModifiedAt int64  `json:"last_modified_at"` // Unix time in seconds, 0 = never
}

// CacheRow is an element of the array "caches": a Cache, or a struct that embeds it.
type CacheRow interface {
	uwsgi() Cache
}

func (c Cache) uwsgi() Cache { return c }

// soleCache is the object "cache" of uWSGI before it had several caches, which its "Scaling SSL
// connections" refers to.
type soleCache struct {
	MaxItems  int    `json:"max_items"`
	BlockSize int    `json:"blocksize"`
	Items     int    `json:"items"`
	Hits      uint64 `json:"hits"`
	Miss      uint64 `json:"miss"`
	Full      uint64 `json:"full"`
}

// cacheMembers returns the document's members for the caches.
func cacheMembers(rows []CacheRow) []object {
	if len(rows) == 0 {
		return []object{{"caches", []CacheRow{}}} // [] rather than null
	}
	c := rows[0].uwsgi()
	return []object{
		{"caches", rows},
		{"cache", soleCache{c.MaxItems, c.BlockSize, c.Items, c.Hits, c.Miss, c.Full}},
	}
}
