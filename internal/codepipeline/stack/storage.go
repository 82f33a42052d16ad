package stack

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// storage makes the bucket for artifacts, unless the definition names one.
func (x *exporter) storage() {
	if one := x.named(); one != "" {
		x.bucket, x.bucketARN = one, sub("arn:${AWS::Partition}:s3:::"+one)
		return
	}
	x.bucket, x.bucketARN = ref("ArtifactBucket"), attr("ArtifactBucket.Arn")
	x.taken["ArtifactBucket"], x.taken["ArtifactBucketPolicy"] = true, true
	x.resource("ArtifactBucket", "AWS::S3::Bucket", object{
		{"VersioningConfiguration", object{{"Status", "Enabled"}}},
		{"BucketEncryption", object{{"ServerSideEncryptionConfiguration", list{
			object{{"ServerSideEncryptionByDefault", object{{"SSEAlgorithm", "AES256"}}}},
		}}}},
		{"PublicAccessBlockConfiguration", object{{"BlockPublicAcls", true}, {"BlockPublicPolicy", true}, {"IgnorePublicAcls", true}, {"RestrictPublicBuckets", true}}},
		{"OwnershipControls", object{{"Rules", list{object{{"ObjectOwnership", "BucketOwnerEnforced"}}}}}},
		{"LifecycleConfiguration", object{{"Rules", list{
			object{{"Id", "forget-old-artifacts"}, {"Status", "Enabled"}, {"ExpirationInDays", 90}, {"NoncurrentVersionExpiration", object{{"NoncurrentDays", 30}}}, {"AbortIncompleteMultipartUpload", object{{"DaysAfterInitiation", 7}}}},
		}}}},
	}, pair{"DeletionPolicy", "Retain"}, pair{"UpdateReplacePolicy", "Retain"})
	x.resource("ArtifactBucketPolicy", "AWS::S3::BucketPolicy", object{
		{"Bucket", ref("ArtifactBucket")},
		{"PolicyDocument", object{{"Version", "2012-10-17"}, {"Statement", list{object{
			{"Sid", "EncryptedConnectionsOnly"}, {"Effect", "Deny"}, {"Principal", "*"}, {"Action", "s3:*"},
			{"Resource", list{attr("ArtifactBucket.Arn"), sub("${ArtifactBucket.Arn}/*")}},
			{"Condition", object{{"Bool", object{{"aws:SecureTransport", "false"}}}}},
		}}}}},
	})
}

// named is the bucket that the definition names, "" when it names none or one
// that is not known.
func (x *exporter) named() string {
	type store struct{ Location string }
	var one store
	if raw, ok := x.original.Foreign["artifactStore"]; ok {
		if json.Unmarshal(raw, &one) == nil && known(one.Location) {
			return one.Location
		}
		return ""
	}
	var many map[string]store
	if json.Unmarshal(x.original.Foreign["artifactStores"], &many) != nil {
		return ""
	}
	for _, region := range slices.Sorted(maps.Keys(many)) {
		if known(many[region].Location) {
			return many[region].Location
		}
	}
	return ""
}

// known tells a value from nothing and from a placeholder of an import.
func known(value string) bool { return value != "" && !strings.Contains(value, "${") }

// objects are the artifacts in the bucket.
func (x *exporter) objects() any {
	if t, ok := x.bucketARN.(tag); ok && t.name == "!Sub" {
		return sub(t.text + "/*")
	}
	return sub("${ArtifactBucket.Arn}/*")
}
