//! Credentials for AWS, and what its refusals mean. Table and models are looked at elsewhere.

use tokio::time::timeout;

use super::PATIENCE;
use super::finding::Finding;
use crate::app::AwsExamination;

const CHECK: &str = "aws";

pub(super) async fn check(aws: &AwsExamination) -> Vec<Finding> {
    let region = aws.region();
    let finding = match timeout(PATIENCE, aws.credentials()).await {
        Ok(Ok(None)) => Finding::ok(CHECK, format!("region {region}, credentials that do not expire")),
        Ok(Ok(Some(end))) => match i64::try_from(end).map(jiff::Timestamp::from_second) {
            Ok(Ok(end)) => Finding::ok(CHECK, format!("region {region}, credentials until {end}")),
            _ => Finding::ok(CHECK, format!("region {region}, credentials that expire")),
        },
        Ok(Err(error)) => Finding::problem(
            CHECK,
            format!("there are no credentials: {error:#}"),
            "Give the task a role, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        ),
        Err(_) => Finding::problem(
            CHECK,
            "nobody gave credentials in time",
            "Look whether this machine reaches where its role comes from, such as the agent of ECS.",
        ),
    };
    vec![finding]
}

/// What to do when AWS refuses something; `action` is what it takes a permission for. `None` for what is special to the
/// request.
pub(super) fn advice(code: Option<&str>, action: &str, service: &str) -> Option<String> {
    let advice = match code {
        Some("AccessDeniedException" | "AccessDenied") => {
            format!("Allow {action} to the role or user that runs this, and to the service's.")
        }
        Some("ExpiredTokenException" | "ExpiredToken") => {
            "The credentials have expired; sign in again or renew them.".to_owned()
        }
        Some("UnrecognizedClientException" | "InvalidClientTokenId" | "MissingAuthenticationToken") => {
            "AWS does not know these credentials; check AWS_ACCESS_KEY_ID, AWS_PROFILE or the role."
                .to_owned()
        }
        Some("InvalidSignatureException" | "SignatureDoesNotMatch" | "RequestTimeTooSkewed") => {
            "Check AWS_SECRET_ACCESS_KEY, and that this machine's clock is right.".to_owned()
        }
        None => format!(
            "Check AWS_REGION, and that this machine reaches {service}: a route or a VPC endpoint, and any \
             AWS_ENDPOINT_URL variable."
        ),
        Some(_) => return None,
    };
    Some(advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_apart() {
        let about = |code| advice(code, "dynamodb:PutItem", "DynamoDB").unwrap_or_default();
        assert!(about(Some("AccessDeniedException")).contains("dynamodb:PutItem"));
        assert!(about(Some("ExpiredTokenException")).contains("expired"));
        assert!(about(Some("InvalidSignatureException")).contains("clock"));
        assert!(about(None).contains("AWS_REGION"));
        assert_eq!(advice(Some("ResourceNotFoundException"), "", ""), None);
    }
}
