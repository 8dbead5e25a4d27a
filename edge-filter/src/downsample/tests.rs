use super::*;

#[test]
fn what_cannot_work_is_refused_with_its_name() {
    let (times, values) = ([0, 1, 2], [0.0, 1.0, 2.0]);
    for (result, param) in [
        (lttb(&times, &values, 2), "n_out"),
        (m4(&times, &values, 6), "n_out"),
        (m4(&times, &values, 0), "n_out"),
        (minmax(&times, &values, 3), "n_out"),
        (minmaxlttb(&times, &values, 3, 1), "minmax_ratio"),
        (minmaxlttb(&times, &values, 3, 3), "minmax_ratio"),
        (m4(&times, &values[..2], 4), "times"),
        (m4(&[0, 2, 1], &values, 4), "times"),
    ] {
        assert_eq!(result.unwrap_err().param(), param);
    }
}

#[test]
fn few_readings_are_all_kept_and_nan_never() -> Result<(), ParamError> {
    assert_eq!(m4(&[], &[], 4)?, Vec::<usize>::new());
    assert_eq!(minmax(&[5, 5, 5], &[1.0, f64::NAN, 2.0], 4)?, [0, 2]);
    assert_eq!(lttb(&[1, 2, 3, 4], &[f64::NAN; 4], 3)?, Vec::<usize>::new());
    Ok(())
}

#[test]
fn a_reading_alone_at_its_height_is_kept_by_its_own_number() -> Result<(), ParamError> {
    let times: Vec<i64> = (0..400).collect();
    for spike in [1, 57, 200, 398] {
        let mut values = vec![0.0; times.len()];
        values[spike] = 9.0;
        for kept in [
            m4(&times, &values, 40)?,
            minmax(&times, &values, 40)?,
            lttb(&times, &values, 40)?,
            minmaxlttb(&times, &values, 40, 4)?,
        ] {
            assert!(kept.contains(&spike), "{spike}: {kept:?}");
        }
    }
    Ok(())
}

#[test]
fn extremes_of_time_and_value_stay_in_bounds() -> Result<(), ParamError> {
    let times = [i64::MIN, -1, 0, 0, 0, 1, 2, i64::MAX - 1, i64::MAX];
    let values = [f64::MAX, f64::MIN, f64::INFINITY, 0.0, f64::NEG_INFINITY, 1.0, 2.0, 3.0, 4.0];
    for kept in [
        lttb(&times, &values, 3)?,
        lttb(&times, &values, 8)?,
        m4(&times, &values, 4)?,
        m4(&times, &values, 8)?,
        minmax(&times, &values, 4)?,
        minmaxlttb(&times, &values, 4, 2)?,
    ] {
        assert!(kept.iter().zip(kept.iter().skip(1)).all(|(a, b)| a < b), "{kept:?}");
        assert!(kept.iter().all(|&i| i < values.len()), "{kept:?}");
    }
    let same_instant = vec![7; 100];
    let kept = m4(&same_instant, &[[1.0, 9.0], [5.0, -3.0]].concat().repeat(25), 8)?;
    assert_eq!(kept, [0, 1, 3, 99], "one bin");
    Ok(())
}

#[test]
fn bins_are_of_one_length_in_time_and_a_reading_on_an_edge_is_in_the_earlier_one() {
    let bins = |times: &[i64], count| super::bins::Bins::new(times, count).collect::<Vec<_>>();
    let even: Vec<i64> = (0..10).collect();
    assert_eq!(bins(&even, 2), [0..5, 5..10]);
    assert_eq!(bins(&even, 3), [0..4, 4..7, 7..10]);
    assert_eq!(bins(&[0, 1, 2, 100], 4), [0..3, 3..4], "bins without a reading are none");
}

#[test]
fn many_readings_are_preselected_and_few_are_not() -> Result<(), ParamError> {
    let times: Vec<i64> = (0..400).collect();
    let values: Vec<f64> = times.iter().map(|i| (i * 7919 % 101) as f64).collect();
    for (len, preselected) in [(49, false), (50, true), (400, true)] {
        let (times, values) = (&times[..len], &values[..len]);
        let (kept, plain) = (minmaxlttb(times, values, 10, 4)?, lttb(times, values, 10)?);
        assert_eq!(kept != plain, preselected, "{len}");
        assert_eq!((kept.first(), kept.last(), kept.len()), (Some(&0), Some(&(len - 1)), 10), "{len}");
    }
    Ok(())
}
