module github.com/towline/towline/localkube/pause

go 1.26.0
