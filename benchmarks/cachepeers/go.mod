module reprise/benchmarks/cachepeers

go 1.26.0

require (
	github.com/coocood/freecache v1.2.7
	github.com/maypok86/otter/v2 v2.4.0
	reprise v0.0.0
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/klauspost/cpuid/v2 v2.4.2 // indirect
	golang.org/x/sys v0.50.0 // indirect
)

replace reprise => ../..
