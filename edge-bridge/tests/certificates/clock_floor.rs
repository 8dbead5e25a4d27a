//! Certificates that a clock which is behind would refuse, and those that no clock may take. The days of certificates and floors are counted from
//! this machine's clock, which takes the place of the wrong one.

use edge_bridge::net::{ClockFloor, ServerTls, Tls};

use crate::authority::{Authority, Days, EVER, day};
use crate::deliver;

/// A floor so many days from now; without one the clock counts as right.
fn floor(days: Option<i64>) -> ClockFloor {
    ClockFloor::new(move || days.map(day))
}

/// Certificate's days, floor, and the beginning of the refusal; an empty one for none.
const CASES: [(Days, Option<i64>, &str); 9] = [
    // The clock is right, and the certificate's beginning is to come.
    ((100, 200), None, "not valid"),
    ((-200, -100), None, "expired"),
    ((-100, 100), None, ""),
    // The clock is behind by a hundred days at least.
    ((100, 200), Some(150), ""),
    ((100, 200), Some(-50), ""),
    ((100, 200), Some(-20_000), ""),
    ((-100, 100), Some(150), "expired"),
    ((-200, -100), Some(-300), "expired"),
    ((-100, 100), Some(-50), ""),
];

async fn check(deliver: impl AsyncFn(Days, Option<i64>) -> Result<(), String>) {
    for (days, floor, expected) in CASES {
        let result = deliver(days, floor).await;
        match &result {
            Ok(()) => assert_eq!(expected, "", "{days:?} {floor:?}"),
            Err(error) => assert!(
                !expected.is_empty() && error.contains(expected),
                "{days:?} {floor:?}: expected \"{expected}\": {error}"
            ),
        }
    }
}

#[tokio::test]
async fn a_hub_is_refused_for_what_is_known_of_the_time_and_not_for_a_clock_that_is_behind() {
    let plant = Authority::new();
    check(async |days, from| deliver(plant.client().with_clock_floor(floor(from)), plant.hub(days)).await)
        .await;
}

#[tokio::test]
async fn a_client_is_refused_for_what_is_known_of_the_time_and_not_for_a_clock_that_is_behind() {
    let plant = Authority::new();
    check(async |days, from| {
        let server = plant.strict_server().with_clock_floor(floor(from)).unwrap();
        deliver(plant.certified("oven3", days), server).await
    })
    .await;
}

#[tokio::test]
async fn without_a_floor_the_clock_counts() {
    let plant = Authority::new();
    let error = deliver(plant.client(), plant.hub((100, 200))).await.unwrap_err();
    assert!(error.contains("the hub's certificate is not valid before 20"), "{error}");
    let error = deliver(plant.certified("oven3", (100, 200)), plant.strict_server()).await.unwrap_err();
    assert!(error.contains("client: the certificate is not valid yet"), "{error}");
}

#[tokio::test]
async fn the_error_names_the_floor_where_it_refuses() {
    let plant = Authority::new();
    let error = deliver(plant.client().with_clock_floor(floor(Some(500))), plant.hub((-100, 100))).await;
    let error = error.unwrap_err();
    assert!(
        error.contains("at least, although this machine's clock, which is not known to be right, says"),
        "{error}"
    );
}

/// All certificates of a chain must be good at one and the same time.
#[tokio::test]
async fn an_authority_in_between_counts_as_the_certificate_does() {
    let plant = Authority::new();
    for (between, leaf, is_taken) in [
        ((300, 400), (100, 350), true),
        ((100, 350), (300, 400), true),
        ((300, 400), (100, 200), false),
        ((100, 200), (300, 400), false),
        ((-400, -300), (100, 200), false),
    ] {
        let line = plant.below(between);
        let result = deliver(line.client().with_clock_floor(floor(Some(0))), line.hub(leaf)).await;
        assert_eq!(result.is_ok(), is_taken, "{between:?} {leaf:?}: {result:?}");
    }
}

/// A clock that is behind makes no certificate good that is none.
#[tokio::test]
async fn everything_else_is_checked_as_ever() {
    let (plant, other) = (Authority::new(), Authority::new());
    for days in [EVER, (100, 200)] {
        let client = plant.client().with_clock_floor(floor(Some(0)));
        let error = deliver(client, other.hub(days)).await.unwrap_err();
        // Of the same name, with another key.
        let file = plant.path("ca.crt");
        let said = format!("is signed by another key than its authority has in {}", file.display());
        assert!(error.contains(&said), "{error}");
        let server = plant.strict_server().with_clock_floor(floor(Some(0))).unwrap();
        let (cert, key) = other.sign("oven3", days);
        let stranger = Tls::from_pem(plant.path("ca.crt"), cert, key).unwrap();
        assert!(deliver(stranger, server).await.is_err());
    }
}

/// Settings that an embedding program made for rustls stay; only the clock is moved.
#[tokio::test]
async fn foreign_settings_take_the_floor_as_their_clock() {
    let plant = Authority::new();
    let mut roots = rustls::RootCertStore::empty();
    let root = std::fs::read(plant.path("ca.crt")).unwrap();
    roots.add(rustls_pki_types::pem::PemObject::from_pem_slice(&root).unwrap()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
    let tls = Tls::from_config(config.into());
    let within = |days| tls.clone().with_clock_floor(floor(Some(days)));
    assert!(deliver(within(150), plant.hub((100, 200))).await.is_ok());
    assert!(deliver(within(0), plant.hub((100, 200))).await.is_err());
    let (cert, key) = plant.sign("hub", EVER);
    let server = ServerTls::from_pem(cert, key, None).unwrap().with_clock_floor(floor(Some(0))).unwrap();
    assert!(deliver(tls, server).await.is_ok(), "a server that asks for no certificate");
}
