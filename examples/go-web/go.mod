module example.com/go-web

go 1.24.0

require github.com/lib/pq v1.12.3

require github.com/jstemmer/go-junit-report/v2 v2.1.0 // indirect

tool github.com/jstemmer/go-junit-report/v2
